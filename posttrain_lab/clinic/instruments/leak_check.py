"""Do two parts of the data share examples, or near copies of them?"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

REACH = 2  # pixels in each direction


def leak_check(train: Float[Tensor, "n c h w"], other: Float[Tensor, "m c h w"], tolerance: float = 0.15) -> float:
    """Which share of `other` has a near copy in `train`, at any place?

    An image b of `other` has one when min |shift(b) - a| < tolerance * |b| over all a in train and all shifts by up to 2 pixels in each
    direction (around the edges, as torch.roll does). In [0, 1]; between honest parts not quite 0, because some clothes look alike.
    train [n, c, h, w], other [m, c, h, w]. Raises TypeError unless both are float tensors; ValueError for other shapes, empty parts, NaN,
    or a tolerance that is not positive.

    >>> images = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> leak_check(images[:10], torch.cat([images[10:], images[:2].roll(1, 3)]))  # two of twelve
    0.16666666666666666
    """
    for name, part in (("train", train), ("other", other)):
        if not isinstance(part, Tensor) or not part.is_floating_point():
            got = part.dtype if isinstance(part, Tensor) else type(part).__name__
            raise TypeError(f"leak_check wants {name} to be a floating-point Tensor, got {got}; do images.float().")
        if part.ndim != 4 or part.numel() == 0 or part.isnan().any():
            raise ValueError(f"leak_check wants {name} [n, c, h, w], n >= 1, without NaN, got shape {list(part.shape)}.")
    if train.shape[1:] != other.shape[1:]:
        raise ValueError(f"leak_check wants images of one size, got {list(train.shape[1:])} and {list(other.shape[1:])}.")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"leak_check wants a positive tolerance, got {tolerance}; 0.15 means 15 % of the image's own size.")
    rows, limit = train.flatten(1), tolerance * other.flatten(1).norm(dim=1)
    near = torch.zeros(len(other), dtype=torch.bool)
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            moved = other.roll((dy, dx), (2, 3)).flatten(1)
            near |= torch.cdist(moved, rows).amin(1) < limit
    return near.double().mean().item()
