"""Train the residual network and the vision transformer of the course; prints the log that is stored beside each checkpoint.

    python -m posttrain_lab.making.fashion_networks FOLDER_WITH_IDX_GZ fashion_resnet
    python -m posttrain_lab.making.fashion_networks FOLDER_WITH_IDX_GZ fashion_vit

Both are trained on 57,000 images: all but the calibration and validation images of `load_fashion()`. Weights are stored in float16,
and the log reports the accuracy after that. The test images are used once, after the last epoch, to report; nothing was chosen by them.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from posttrain_lab.data.fashion import load_fashion
from posttrain_lab.data.files import FILES
from posttrain_lab.making.fashion_cnn import shift_and_flip, training_images
from posttrain_lab.models import PRETRAINED
from posttrain_lab.training import TrainingConfig, train

CONFIGS = {
    "fashion_resnet": TrainingConfig(epochs=8, batch_size=128, learning_rate=8e-3, weight_decay=0.02, seed=0),
    "fashion_vit": TrainingConfig(epochs=8, batch_size=128, learning_rate=3e-3, weight_decay=0.05, clip=1.0, seed=0),
}


def main(folder: str, name: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels = training_images(Path(folder), held_out=True)
    print(f"{name}: {len(labels)} images, {CONFIGS[name]}", flush=True)
    fresh = PRETRAINED[name]().to(memory_format=torch.channels_last)
    model, losses = train(fresh, images, labels, CONFIGS[name], shift_and_flip)
    print("mean training loss of each epoch:", " ".join(f"{loss:.4f}" for loss in losses))
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    stored = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(stored, FILES / f"{name}.safetensors")
    model.load_state_dict(stored)
    split = load_fashion()
    for part in ("validation", "test"):
        data = getattr(split, part)
        with torch.no_grad():
            hits = torch.cat([model(x).argmax(1) for x in data.images.split(1000)]) == data.labels
        print(f"{part}: {int(hits.sum())} of {len(hits)} right = {hits.float().mean():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
