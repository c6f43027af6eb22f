"""The two grids of a graph's activations, and the points of the graph where a value is put on one.

| grid   | codes                                    | where                                                                     |
|--------|------------------------------------------|---------------------------------------------------------------------------|
| narrow | `activation_bits`, 8 by default; affine  | what a Conv2d or Linear multiplies; chosen by the config's observer       |
| wide   | 16 bits, symmetric, zero is code 0       | what additions, concatenations, averages and activation functions read    |

An int8 product sums in int32, so its result is rescaled to either grid at the same cost. A residual stream on a narrow grid would be
rounded at each addition; on the wide grid only the operands of products lose precision, as in PyTorch's own quantizers, which keep
the rest in float. The wide grid covers twice the observed range: inputs unlike the calibration data are not clipped.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..chain import ActivationCodes, activation_codes
from ..config import QuantizationConfig

WIDE_TOP = 2**15 - 1
HEADROOM = 2.0
PART = 2**22  # numbers quantized at a time


@dataclass(frozen=True)
class WideCodes(ActivationCodes):
    """16-bit codes: value = code * scale, codes -32767 ... 32767.

    >>> WideCodes(0.5).quantize(torch.tensor([1.2, -9e9]))
    tensor([     2, -32767], dtype=torch.int16)
    """

    scale: float
    zero_point: int = 0
    bits: int = 16

    def quantize(self, x: Tensor) -> Tensor:
        """The nearest code of each number; NaN has none and becomes 0, as a cast makes it."""
        return (x.detach() / self.scale).round_().clamp_(-WIDE_TOP, WIDE_TOP).to(torch.int16)

    def dequantize(self, codes: Tensor) -> Tensor:
        """The number of each code, float32."""
        return codes.float() * self.scale

    def fake(self, x: Tensor) -> Tensor:
        """x quantized and dequantized."""
        return (x / self.scale).round_().clamp_(-WIDE_TOP, WIDE_TOP).mul_(self.scale)


Codes = ActivationCodes


def wide_codes(x: Tensor) -> WideCodes:
    """The wide grid for values like x.

    >>> wide_codes(torch.tensor([-1.0, 0.5])).scale * WIDE_TOP
    2.0
    """
    low, high = (float(end) for end in x.detach().aminmax()) if x.numel() else (0.0, 0.0)
    largest = max(-low, high)
    return WideCodes(HEADROOM * largest / WIDE_TOP if largest > 0 else 1.0)


def fake_in_parts(codes: Codes, x: Tensor) -> Tensor:
    """`codes.fake(x)` some rows at a time, which needs less memory."""
    rows = max(1, PART // max(1, x[:1].numel()))
    return torch.cat([codes.fake(part) for part in x.split(rows)]) if len(x) > rows else codes.fake(x)


class GridPoint(nn.Module):
    """Puts its input on a grid: the first call, with all calibration data, chooses the grid; `kind` is "narrow" or "wide"."""

    def __init__(self, kind: str, config: QuantizationConfig) -> None:
        super().__init__()
        self.kind, self.config = kind, config
        self.codes: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.codes is None:
            self.codes = activation_codes(x, self.config) if self.kind == "narrow" else wide_codes(x)
        return fake_in_parts(self.codes, x)

    def extra_repr(self) -> str:
        return f"{self.kind}, {self.codes}"
