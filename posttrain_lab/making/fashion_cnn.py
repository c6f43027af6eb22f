"""Train the shipped Fashion networks; prints the log that is stored beside each checkpoint.

    python -m posttrain_lab.making.fashion_cnn FOLDER_WITH_IDX_GZ fashion_cnn        57,000 images: the course's network
    python -m posttrain_lab.making.fashion_cnn FOLDER_WITH_IDX_GZ fashion_cnn_60k    all 60,000 training images

`fashion_cnn` was not trained on the 3,000 calibration and validation images of `load_fashion()`, so that these can be used to fit and
to choose. The test images are used once, after the last epoch, to report; nothing was chosen by them.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from posttrain_lab.data.fashion import load_fashion, split_indices
from posttrain_lab.making.fashion_images import FILES, KEPT_PER_CLASS, choose, read_original
from posttrain_lab.models import fashion_cnn
from posttrain_lab.training import TrainingConfig, train

CONFIG = TrainingConfig(epochs=12, batch_size=128, learning_rate=8e-3, weight_decay=0.02, seed=0)


def shift_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Data augmentation: shift each image by up to two pixels and flip half of them."""
    dy, dx = (int(torch.randint(-2, 3, (), generator=generator)) for _ in range(2))
    moved = torch.nn.functional.pad(images, (2, 2, 2, 2))[:, :, 2 + dy : 30 + dy, 2 + dx : 30 + dx]
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


def main(folder: str, name: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels = training_images(Path(folder), held_out=name == "fashion_cnn")
    print(f"{name}: {len(labels)} images, {CONFIG}", flush=True)
    model, losses = train(fashion_cnn().to(memory_format=torch.channels_last), images, labels, CONFIG, shift_and_flip)
    print("mean training loss of each epoch:", " ".join(f"{loss:.4f}" for loss in losses))
    model = model.to(memory_format=torch.contiguous_format)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, FILES / f"{name}.safetensors")
    split = load_fashion()
    for part in ("validation", "test"):
        data = getattr(split, part)
        with torch.no_grad():
            hits = torch.cat([model(x).argmax(1) for x in data.images.split(1000)]) == data.labels
        print(f"{part}: {int(hits.sum())} of {len(hits)} right = {hits.float().mean():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
