"""Averages as sums of integers: which elements each average adds, and how many."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from .capture import op_name
from .layers import arguments


def _pair(value: Any) -> tuple[int, int]:
    sizes = [value] * 2 if isinstance(value, int) else list(value)
    return (sizes[0], sizes[-1])


def is_plain_average(node: fx.Node) -> bool:
    """One divisor for all elements: whole windows of one size, or padding that counts as zeros."""
    named = arguments(node)
    if op_name(node) == "mean":
        return bool(named.get("dim"))
    if op_name(node) == "avg_pool2d":
        padded = any(_pair(named["padding"]))
        return not named["ceil_mode"] and (named["count_include_pad"] or not padded or bool(named["divisor_override"]))
    shape, wanted = node.args[0].meta["val"].shape[-2:], _pair(named["output_size"])  # type: ignore[union-attr]
    return all(isinstance(size, int) and size % out == 0 for size, out in zip(shape, wanted, strict=True))


@dataclass(frozen=True)
class AxisSums:
    """The sums over some axes, int32."""

    axes: tuple[int, ...]
    keepdim: bool

    def __call__(self, codes: Tensor) -> Tensor:
        return codes.sum(self.axes, keepdim=self.keepdim, dtype=torch.int32)


@dataclass(frozen=True)
class WindowSums:
    """The sums over the windows of an image [..., h, w], int32; wide codes, so padding is with code 0."""

    size: tuple[int, int]
    step: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def __call__(self, codes: Tensor) -> Tensor:
        padded = F.pad(codes, (self.padding[1], self.padding[1], self.padding[0], self.padding[0]))
        windows = padded.unfold(-2, self.size[0], self.step[0]).unfold(-2, self.size[1], self.step[1])
        return windows.sum((-1, -2), dtype=torch.int32)


def window_sums(node: fx.Node) -> tuple[AxisSums | WindowSums, int]:
    """What sums the elements of each average, and their number."""
    named, shape = arguments(node), node.args[0].meta["val"].shape  # type: ignore[union-attr]
    if op_name(node) == "mean":
        axes = tuple(named["dim"])
        return AxisSums(axes, bool(named["keepdim"])), prod(int(shape[axis]) for axis in axes)
    if op_name(node) == "avg_pool2d":
        size = _pair(named["kernel_size"])
        step = _pair(named["stride"]) if named["stride"] else size
        return WindowSums(size, step, _pair(named["padding"])), named["divisor_override"] or size[0] * size[1]
    wanted = _pair(named["output_size"])
    size = (int(shape[-2]) // wanted[0], int(shape[-1]) // wanted[1])
    return WindowSums(size, size), size[0] * size[1]
