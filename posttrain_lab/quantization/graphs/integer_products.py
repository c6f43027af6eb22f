"""Conv2d and Linear of an integer graph: the chain's integer layers with three kinds of result.

| result | when                                                                       |
|--------|----------------------------------------------------------------------------|
| int8   | only other products read it                                                |
| int16  | an addition, a concatenation, an average or an activation function reads it |
| float  | a float island or the output reads it: the int32 sums times their unit     |
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..chain import ActivationCodes, QuantizedStep
from ..integer_network import IntegerConv2d, IntegerLinear
from ..integer_ops import linear_sums, rescale
from .grids import Codes, WideCodes
from .integer_layers import limits


class _Finish:
    """What the two layers share: the ends of the codes, and the last step."""

    ends: tuple[int, int]

    def finish(self: Any, sums: Tensor) -> Tensor:
        """int32 sums [..., out] to int8 or int16 codes, or to float32 over the border."""
        if self.y is None:
            return (sums + self.bias).float() * torch.tensor(self.sum_scale, dtype=torch.float32)
        if isinstance(self.y, WideCodes):
            wide = rescale(sums + self.bias, self.multiplier.long(), self.shift.long())
            return wide.clamp_(*self.ends).to(torch.int16)
        return super().finish(sums)  # type: ignore[misc]

    def limits(self) -> tuple[int, int]:
        """The ends of the codes, those of a ReLU or ReLU6 included."""
        return self.ends


class GraphConv2d(_Finish, IntegerConv2d):
    """int8 [n, c, h, w] -> [n, out, oh, ow]."""

    def forward(self, codes: Tensor) -> Tensor:
        return self.finish(self._sums(codes)).permute(0, 3, 1, 2)


class GraphLinear(_Finish, IntegerLinear):
    """int8 [..., in] -> [..., out]."""

    def forward(self, codes: Tensor) -> Tensor:
        sums = linear_sums(codes.reshape(-1, codes.shape[-1]), self.weight_codes())
        return self.finish(sums).reshape(*codes.shape[:-1], sums.shape[-1])


def integer_product(step: QuantizedStep, x: ActivationCodes, bits: int, ends: tuple[int, int] | None) -> nn.Module:
    """The integer layer of one call. Raises ValueError naming the layer whose sums could pass 2^30."""
    y: Codes | None = step.output
    made = (GraphConv2d if isinstance(step.layer, nn.Conv2d) else GraphLinear)(step, x, bits)
    made.ends = ends or (limits(y) if y is not None else (0, 0))
    return made
