"""Train the shipped MNIST network; prints the log that is stored beside it: `python -m posttrain_lab.making.mnist_cnn`.

It is trained on the 3,600 training images of `load_mnist()` and no others. The test images are used once, after the last epoch, to report.
"""

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.data.digits import load_mnist
from posttrain_lab.data.files import FILES
from posttrain_lab.measure import predict
from posttrain_lab.models import digits_cnn
from posttrain_lab.training import TrainingConfig, train

CONFIG = TrainingConfig(epochs=12, batch_size=64, learning_rate=5e-3, weight_decay=0.02, seed=0)


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Data augmentation: shift a batch by up to two pixels."""
    dy, dx = (int(torch.randint(-2, 3, (), generator=generator)) for _ in range(2))
    return F.pad(images, (2, 2, 2, 2))[:, :, 2 + dy : 30 + dy, 2 + dx : 30 + dx]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    split = load_mnist()
    print(f"mnist_cnn: {len(split.train)} images, {CONFIG}", flush=True)
    model, losses = train(digits_cnn(), split.train.images, split.train.labels, CONFIG, shift)
    print("mean training loss of each epoch:", " ".join(f"{loss:.4f}" for loss in losses))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, FILES / "mnist_cnn.safetensors")
    for part in ("validation", "test"):
        data = getattr(split, part)
        hits = predict(model, data.images).argmax(1) == data.labels
        print(f"{part}: {int(hits.sum())} of {len(hits)} right = {hits.float().mean():.4f}")


if __name__ == "__main__":
    main()
