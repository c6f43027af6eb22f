"""Fashion-MNIST with one corruption, as from a worse camera: a second task for a network that was trained on the clean images.

In plain torch, seeded: noise, blur, contrast, rotation, occlusion, at severities 1 to 5. After Hendrycks and Dietterich 2019.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.data.fashion import fashion_parts
from posttrain_lab.data.split import Dataset, Split

BLOCK = 500  # images


def in_blocks(change: Callable[..., Tensor], images: Tensor, *more: Tensor) -> Tensor:
    """change(images, *more), computed for a few images at a time: the intermediate tensors are many times as large as the images.

    >>> in_blocks(torch.add, torch.ones(1001, 2), torch.ones(1001, 2)).sum().item()
    4004.0
    """
    result = torch.empty_like(images)
    for place, *block in zip(*(tensor.split(BLOCK) for tensor in (result, images, *more)), strict=True):
        place.copy_(change(*block))
    return result


def _noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise, standard deviation 0.08 to 0.4."""
    return images + 0.08 * severity * torch.randn(images.shape, generator=generator)


def _blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A Gaussian filter, standard deviation 0.5 to 2.5 pixels."""
    sigma = 0.5 * severity
    offsets = torch.arange(-7, 8).float()
    weights = torch.exp(-offsets.square() / (2 * sigma**2))
    weights = weights / weights.sum()

    def filtered(block: Tensor) -> Tensor:
        padded = F.pad(block, (7, 7, 7, 7), mode="replicate")
        return F.conv2d(F.conv2d(padded, weights.reshape(1, 1, 1, -1)), weights.reshape(1, 1, -1, 1))

    return in_blocks(filtered, images)


def _contrast(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Towards the image's mean: 85 % to 25 % of the contrast is left."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (1 - 0.15 * severity) * (images - mean)


def _rotation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Rotated by 15 to 75 degrees, each image to a random side."""
    side = 2.0 * torch.randint(0, 2, (len(images),), generator=generator) - 1
    angle = side * math.radians(15 * severity)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rotation = torch.stack((torch.stack((cos, -sin, zero), 1), torch.stack((sin, cos, zero), 1)), 1)

    def rotated(block: Tensor, rotation: Tensor) -> Tensor:
        grid = F.affine_grid(rotation, list(block.shape), align_corners=False)
        return F.grid_sample(block, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    return in_blocks(rotated, images, rotation)


def _occlusion(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A black square, 4 to 20 pixels wide, at a random position in each image."""
    size, height, width = 4 * severity, images.shape[2], images.shape[3]
    top = torch.randint(0, height - size + 1, (len(images), 1, 1, 1), generator=generator)
    left = torch.randint(0, width - size + 1, (len(images), 1, 1, 1), generator=generator)
    rows, columns = torch.arange(height).reshape(1, 1, -1, 1), torch.arange(width).reshape(1, 1, 1, -1)
    covered = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
    return images.masked_fill(covered, 0.0)


CORRUPTIONS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "rotation": _rotation,
    "occlusion": _occlusion,
}


def corrupt(images: Tensor, corruption: str, severity: int = 3, seed: int = 0) -> Tensor:
    """Corrupted copies of images: [n, 1, h, w] in [0, 1], h and w at least 20.

    corruption: noise, blur, contrast, rotation or occlusion; severity 1..5. The same seed gives the same images.
    Raises ValueError for another corruption or severity. After Hendrycks and Dietterich 2019.

    >>> corrupt(torch.ones(2, 1, 28, 28), "occlusion", severity=1).sum((1, 2, 3))
    tensor([768., 768.])
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(f"corrupt wants one of {', '.join(CORRUPTIONS)}, got {corruption!r}.")
    if severity not in range(1, 6):
        raise ValueError(f"corrupt wants a severity from 1 to 5, got {severity!r}.")
    return CORRUPTIONS[corruption](images, int(severity), torch.Generator().manual_seed(seed)).clamp_(0, 1)


def load_corrupted_fashion(corruption: str = "rotation", severity: int = 3, seed: int = 0) -> Split:
    """`load_fashion()` with every image corrupted: the same classes under a distribution shift.

    The same images in the same parts and order, so that before and after can be compared. Raises as `corrupt` and `load_fashion`.

    >>> load_corrupted_fashion("blur").name
    'fashion, blur 3'
    """
    parts = {}
    for number, (name, data) in enumerate(fashion_parts(seed)):
        images = corrupt(data.images, corruption, severity, seed=1000 * seed + number)
        parts[name] = Dataset(images, data.labels, data.classes)
    return Split(name=f"fashion, {corruption} {severity}", **parts)
