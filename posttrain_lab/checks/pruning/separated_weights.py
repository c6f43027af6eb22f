"""Weights and sparsities for the cases: magnitudes that differ clearly, and counts that are the same for every way of rounding.

The workloads have the shapes of the unit's network and magnitudes that lie close together, but not too close for the given dtype.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from posttrain_lab.checks.engine.random_cases import Draw, ladder

# the shapes of the layers that the notebook prunes
NETWORK: dict[str, tuple[int, ...]] = {
    "0": (24, 1, 3, 3),
    "4": (48, 24, 3, 3),
    "8": (96, 48, 3, 3),
    "13": (64, 864),
    "15": (10, 64),
}
LARGE = NETWORK["13"]


def signs(draw: Draw, *shape: int) -> Tensor:
    """-1 or 1."""
    return 2.0 * draw.codes(0, 1, *shape) - 1


def spread(draw: Draw, *shape: int) -> Tensor:
    """Weights of both signs whose magnitudes differ by 3 % or more, in random order: no ties, also after rounding."""
    count = torch.Size(shape).numel()
    powers = torch.tensor(draw.shuffled(range(count)), dtype=torch.float64) - count / 2
    return (1.05**powers * 0.1).reshape(shape).float() * signs(draw, *shape)


def levels(draw: Draw, *shape: int, most: int = 2) -> Tensor:
    """Weights with many ties: whole numbers from -most to most, zeros among them."""
    return draw.codes(-most, most, *shape).float()


def tiny(draw: Draw, *shape: int) -> Tensor:
    """Different weights, float32, whose squares are 0 in float32."""
    return ladder(draw, *shape, top=1e-28)


def neighbours(draw: Draw, *shape: int) -> Tensor:
    """Different weights, float64, that are equal in float32."""
    return (1 + 1e-12 * ladder(draw, *shape).abs().double()) * 0.1 * signs(draw, *shape)


def clear_sparsity(draw: Draw, counts: Sequence[int], low: float = 0.2, high: float = 0.8, up: bool | None = None) -> float:
    """A sparsity whose product with each count is at least 0.1 away from x.5; `up` says whether the first is rounded up or down."""
    while True:
        sparsity = round(draw.real(low, high), 4)
        parts = [sparsity * count % 1 for count in counts]
        if all(abs(part - 0.5) > 0.1 for part in parts) and (
            up is None or (0.6 < parts[0] < 0.95 if up else 0.05 < parts[0] < 0.4)
        ):
            return sparsity


def right_count(sparsity: float, count: int) -> int:
    """How many of `count` weights are removed."""
    return round(sparsity * count)


def lowest(magnitudes: Tensor, gone: int) -> Tensor:
    """True for all but the `gone` smallest numbers, of any shape."""
    kept = torch.ones(magnitudes.numel(), dtype=torch.bool)
    kept[torch.argsort(magnitudes.flatten(), stable=True)[:gone]] = False
    return kept.reshape(magnitudes.shape)
