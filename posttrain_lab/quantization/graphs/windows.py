"""Averages as sums of integers: which elements each average adds, and how many."""

from collections.abc import Callable
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


def window_sums(node: fx.Node) -> tuple[Callable[[Tensor], Tensor], int]:
    """The function that sums the elements of each average, and their number; wide codes, so padding is with code 0."""
    named, shape = arguments(node), node.args[0].meta["val"].shape  # type: ignore[union-attr]
    if op_name(node) == "mean":
        axes = list(named["dim"])
        count = 1
        for axis in axes:
            count *= int(shape[axis])
        return lambda codes: codes.sum(axes, keepdim=bool(named["keepdim"]), dtype=torch.int32), count
    if op_name(node) == "avg_pool2d":
        size, padding = _pair(named["kernel_size"]), _pair(named["padding"])
        step = _pair(named["stride"]) if named["stride"] else size
        count = named["divisor_override"] or size[0] * size[1]
    else:
        size = step = tuple(int(have) // want for have, want in zip(shape[-2:], _pair(named["output_size"]), strict=True))
        padding, count = (0, 0), size[0] * size[1]

    def sums(codes: Tensor) -> Tensor:
        padded = F.pad(codes, (padding[1], padding[1], padding[0], padding[0]))
        return padded.unfold(-2, size[0], step[0]).unfold(-2, size[1], step[1]).sum((-1, -2), dtype=torch.int32)

    return sums, count
