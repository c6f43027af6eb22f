"""Train the four shipped Fashion networks; prints the log kept beside each checkpoint.

    python -m posttrain_lab.making.fashion_networks FOLDER_WITH_IDX_GZ fashion_cnn        the course's network
    python -m posttrain_lab.making.fashion_networks FOLDER_WITH_IDX_GZ fashion_cnn_60k    all 60,000 training images
    python -m posttrain_lab.making.fashion_networks FOLDER_WITH_IDX_GZ fashion_resnet
    python -m posttrain_lab.making.fashion_networks FOLDER_WITH_IDX_GZ fashion_vit

All but `fashion_cnn_60k` see 57,000 images: they never saw the 3,000 calibration and validation images of `load_fashion()`, so that
what is fitted or chosen on these is honest. Weights of the last two are stored in float16, and what the log counts was counted after that.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from posttrain_lab.data.fashion import load_fashion, split_indices
from posttrain_lab.making.fashion_images import KEPT_PER_CLASS, choose, read_original
from posttrain_lab.making.training_run import TrainingRun, shift, ship
from posttrain_lab.models import PRETRAINED
from posttrain_lab.training import TrainingConfig


def shift_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to two pixels and mirror half of them: cheap new views of the same garment."""
    moved = shift(images, generator)
    mirror = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(mirror, moved.flip(3), moved)


def training_images(folder: Path, held_out: bool) -> tuple[Tensor, Tensor]:
    """All 60,000 images, or all but the calibration and validation images of `load_fashion()`."""
    original = read_original(folder)
    wanted = torch.ones(60_000, dtype=torch.bool)
    if held_out:
        kept = torch.from_numpy(choose(original["train_labels"], KEPT_PER_CLASS))
        parts = split_indices(torch.from_numpy(original["train_labels"][kept]).long())
        wanted[kept[torch.cat([parts["calibration"], parts["validation"]])]] = False
    images = torch.from_numpy(original["train_images"].copy())[wanted]
    labels = torch.from_numpy(original["train_labels"].copy())[wanted]
    return images[:, None].float() / 255, labels.long()


def fresh(name: str) -> nn.Module:
    """The network before training; channels come last in memory, which trains faster."""
    return PRETRAINED[name]().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


CNN = TrainingConfig(epochs=12, batch_size=128, learning_rate=8e-3, weight_decay=0.02, seed=0)
RESNET = TrainingConfig(epochs=8, batch_size=128, learning_rate=8e-3, weight_decay=0.02, seed=0)
VIT = TrainingConfig(epochs=8, batch_size=128, learning_rate=3e-3, weight_decay=0.05, clip=1.0, seed=0)
RUNS = {
    "fashion_cnn": TrainingRun(lambda: fresh("fashion_cnn"), CNN, shift_and_flip),
    "fashion_cnn_60k": TrainingRun(lambda: fresh("fashion_cnn"), CNN, shift_and_flip),
    "fashion_resnet": TrainingRun(lambda: fresh("fashion_resnet"), RESNET, shift_and_flip, torch.float16),
    "fashion_vit": TrainingRun(lambda: fresh("fashion_vit"), VIT, shift_and_flip, torch.float16),
}


def main(folder: str, name: str) -> None:
    images, labels = training_images(Path(folder), held_out=name != "fashion_cnn_60k")
    ship(name, RUNS[name], images, labels, load_fashion())


if __name__ == "__main__":
    main(*sys.argv[1:])
