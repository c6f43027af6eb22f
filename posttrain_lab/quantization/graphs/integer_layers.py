"""Layers of an integer graph between the products: every tensor that flows is int8 or int16, every factor a fixed-point number.

A real factor r is m / 2^s with whole m and s, so that x * r is (x * m + 2^(s-1)) >> s, ties up, computed in int64. Wide codes have 16
bits and factors at most 31, so a product fits 47 bits and a sum of several never overflows. Source: Jacob et al. 2018, section 2.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..affine import code_range, dequantize, quantize
from .grids import WIDE_TOP, Codes, WideCodes
from .layers import ChannelAffine

LARGEST_SHIFT = 45


def limits(codes: Codes) -> tuple[int, int]:
    """The lowest and the highest code of a grid."""
    return (-WIDE_TOP, WIDE_TOP) if isinstance(codes, WideCodes) else code_range(codes.bits)


def fixed(ratio: Tensor) -> tuple[Tensor, Tensor]:
    """(m, s) int64 with ratio ~= m / 2^s for each entry, |m| < 2^31.

    >>> fixed(torch.tensor([0.75, -3.0]))
    (tensor([ 1610612736, -1610612736]), tensor([31, 29]))
    """
    ratio = ratio.double()
    exponent = torch.where(ratio == 0, torch.zeros_like(ratio), ratio.abs().clamp_min(1e-300).log2().floor() + 1)
    shift = (31 - exponent).clamp(1, LARGEST_SHIFT)
    return (ratio * 2**shift).round().clamp(-(2**31) + 1, 2**31 - 1).long(), shift.long()


def common(ratios: Sequence[float]) -> tuple[list[int], int]:
    """Whole factors with one shift for all of them, which a sum needs."""
    _, shift = fixed(torch.tensor([max(ratios, key=abs)]))
    return [round(ratio * 2 ** int(shift)) for ratio in ratios], int(shift)


class ToCodes(nn.Module):
    """The border into integers: float -> codes."""

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.codes, WideCodes):
            return self.codes.quantize(x)
        return quantize(x, self.codes.scale, self.codes.zero_point, self.codes.bits)


class FromCodes(nn.Module):
    """The border out of integers: codes -> float."""

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, codes: Tensor) -> Tensor:
        if isinstance(self.codes, WideCodes):
            return self.codes.dequantize(codes)
        return dequantize(codes, self.codes.scale, self.codes.zero_point)


class _GridEnd(nn.Module):
    """The end of every layer here: shift, zero point, clamp, cast."""

    def __init__(self, y: Codes, ends: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.y, self.ends = y, ends or limits(y)

    def finish(self, wide: Tensor, shift: Any) -> Tensor:
        """int64 sums, in units of 2^-shift codes, to codes."""
        half = 1 << (shift - 1) if isinstance(shift, int) else torch.ones_like(shift) << (shift - 1)
        codes = ((wide + half) >> shift).add_(self.y.zero_point).clamp_(*self.ends)
        return codes.to(torch.int16 if isinstance(self.y, WideCodes) else torch.int8)


class IntegerRescale(_GridEnd):
    """Codes of one grid to codes of another, between two ends: a ReLU is the lower end at the zero point."""

    def __init__(self, x: Codes, y: Codes, ends: tuple[int, int] | None = None) -> None:
        super().__init__(y, ends)
        self.zero, ((self.factor,), self.shift) = x.zero_point, common([x.scale / y.scale])

    def forward(self, codes: Tensor) -> Tensor:
        return self.finish((codes.long() - self.zero) * self.factor, self.shift)


class IntegerSum(_GridEnd):
    """signs[0] * a + signs[1] * b + ..., each on its own wide grid; constants are in `bias`, in units of 2^-shift codes of y."""

    bias: Tensor | None

    def __init__(self, xs: Sequence[Codes], signs: Sequence[int], y: Codes, constant: Tensor | None = None) -> None:
        super().__init__(y)
        self.factors, self.shift = common([sign * x.scale / y.scale for x, sign in zip(xs, signs, strict=True)])
        bias = (
            None if constant is None else (constant.double() / y.scale * 2**self.shift).round().clamp(-(2.0**61), 2.0**61).long()
        )
        self.register_buffer("bias", bias)

    def forward(self, *codes: Tensor) -> Tensor:
        total = sum(one.long() * factor for one, factor in zip(codes, self.factors, strict=True))
        return self.finish(total if self.bias is None else total + self.bias, self.shift)  # type: ignore[operator, arg-type]


class IntegerProduct(_GridEnd):
    """a * b of two wide codes: 30 bits, then one rescaling."""

    def __init__(self, a: Codes, b: Codes, y: Codes) -> None:
        super().__init__(y)
        (self.factor,), self.shift = common([a.scale * b.scale / y.scale])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.finish(a.long() * b * self.factor, self.shift)


class IntegerAffine(_GridEnd):
    """x * gain + bias, with a fixed-point gain for each index along an axis; `layer` is a ChannelAffine."""

    factor: Tensor
    shift: Tensor
    bias: Tensor

    def __init__(self, layer: ChannelAffine, x: Codes, y: Codes) -> None:
        super().__init__(y)
        self.shaped = layer.axis
        factor, shift = fixed(layer.gain.double() * x.scale / y.scale)
        self.register_buffer("factor", factor)
        self.register_buffer("shift", shift)
        room = 2.0**61
        self.register_buffer("bias", (layer.bias.double() / y.scale * 2.0**shift).round().clamp(-room, room).long())

    def forward(self, codes: Tensor) -> Tensor:
        shape = [-1 if axis == self.shaped % codes.ndim else 1 for axis in range(codes.ndim)]
        factor, shift, bias = (value.reshape(shape) for value in (self.factor, self.shift, self.bias))
        return self.finish(codes.long() * factor + bias, shift)


class IntegerCat(nn.Module):
    """Concatenation on one grid: each part is rescaled to it first."""

    def __init__(self, xs: Sequence[Codes], y: Codes, axis: int) -> None:
        super().__init__()
        self.parts, self.axis = nn.ModuleList(IntegerRescale(x, y) for x in xs), axis

    def forward(self, *codes: Tensor) -> Tensor:
        return torch.cat([part(one) for part, one in zip(self.parts, codes, strict=True)], self.axis)


class IntegerAverage(_GridEnd):
    """A mean: int32 sums by `sums`, divided by `count` and rescaled in one multiplication."""

    def __init__(self, sums: Callable[[Tensor], Tensor], count: int, x: Codes, y: Codes) -> None:
        super().__init__(y)
        self.sums, self.count = sums, count
        (self.factor,), self.shift = common([x.scale / (y.scale * count)])

    def forward(self, codes: Tensor) -> Tensor:
        return self.finish(self.sums(codes.to(torch.int32)).long() * self.factor, self.shift)


class IntegerTable(nn.Module):
    """Any function of one number: its code for each of the 65,536 wide codes, computed once."""

    table: Tensor

    def __init__(self, function: Callable[[Tensor], Tensor], x: WideCodes, y: Codes) -> None:
        super().__init__()
        every = torch.arange(-(2**15), 2**15, dtype=torch.int32)
        self.register_buffer("table", ToCodes(y)(function(x.dequantize(every).nan_to_num()).float()))

    def forward(self, codes: Tensor) -> Tensor:
        return self.table[codes.int() + 2**15]


class IntegerMaxPool(nn.Module):
    """The largest code of each window, with torch's arguments; torch's own pooling of int8 refuses images of 128 pixels and more."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def forward(self, codes: Tensor) -> Tensor:
        return F.max_pool2d(codes.int(), *self.arguments).to(codes.dtype)
