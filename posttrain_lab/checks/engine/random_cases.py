"""Random numbers for the cases of a check: from a seed of their own, so that no global generator is used or changed."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")


class Draw:
    """Numbers that depend on the seed and on a name only.

    >>> Draw(1, "quantize").whole(0, 9) == Draw(1, "quantize").whole(0, 9)
    True
    """

    def __init__(self, seed: int, name: str):
        self.generator = torch.Generator().manual_seed(seed * 1_000_003 + sum(ord(c) * 31**i for i, c in enumerate(name[:8])))

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def real(self, low: float, high: float) -> float:
        """A number between low and high."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.whole(0, len(items) - 1)]

    def normal(self, *shape: int, std: float = 1.0) -> Tensor:
        """Normal numbers, float32."""
        return torch.randn(shape, generator=self.generator) * std

    def codes(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from low to high, both included, int8."""
        return torch.randint(low, high + 1, shape, generator=self.generator).to(torch.int8)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between low and high, float32."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        """The items in another order."""
        return [items[i] for i in torch.randperm(len(items), generator=self.generator).tolist()]


def strided(x: Tensor) -> Tensor:
    """The same values as a view that is not contiguous (every second column of a wider tensor)."""
    wide = torch.zeros(*x.shape[:-1], 2 * x.shape[-1], dtype=x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def whole_floats(draw: Draw, *shape: int) -> Tensor:
    """Whole numbers from -9 to 9 without 0, as float32: sums of a few thousand products are exact in any order."""
    return (draw.codes(1, 9, *shape) * (2 * draw.codes(0, 1, *shape) - 1)).float()


def plain(x: Tensor) -> np.ndarray:
    """The numbers as a float64 array that `numpy_spy` does not watch: oracles are trusted, and watching slows them down."""
    return np.array(x.tolist(), dtype=np.float64)


def ladder(draw: Draw, *shape: int, top: float = 1.0) -> Tensor:
    """Numbers of both signs whose magnitudes are evenly spaced up to `top`: float32 separates them, 16 bits or 4 decimals do not.

    >>> ladder(Draw(0, "ladder"), 5).abs().sort().values
    tensor([0.2000, 0.4000, 0.6000, 0.8000, 1.0000])
    """
    count = torch.Size(shape).numel()
    places = torch.randperm(count, generator=draw.generator).double() + 1
    signs = 2.0 * torch.randint(0, 2, (count,), generator=draw.generator) - 1
    return (top * places / count * signs).float().reshape(shape)


def eighths(draw: Draw, *shape: int, most: int = 40) -> Tensor:
    """Fractions from -most/8 to most/8: float32 sums of a few thousand products of two of them are exact in any order."""
    return torch.randint(-most, most + 1, shape, generator=draw.generator).float() / 8


def thinned(draw: Draw, x: Tensor, kept: float) -> Tensor:
    """The same tensor, in which all but a share of `kept` of the values are 0, at random places."""
    return x * (torch.rand(x.shape, generator=draw.generator) < kept)
