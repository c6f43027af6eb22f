"""A small QLoRA: the base's weights have 4 bits, the low-rank correction beside them is learned in float.

The int4 weight is the one of `posttrain_lab.kernels`. Its product has no gradient of its own; here it gets the gradient of a product
with the dequantized weight, so that gradients reach the layers before it. Source: Dettmers et al. 2023. Left out: the NF4 code (ours
has equal steps), scales that are quantized again, paging. Convolutions stay in float: there is no int4 kernel for them.
"""

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab import kernels
from posttrain_lab.arguments import check_count
from posttrain_lab.kernels.packed import GROUP, GROUP_STEP, Int4Weight
from posttrain_lab.module_walks import (
    check_float32,
    check_own_weights,
    computes_as,
    described,
    exchange,
    weights_read,
    without_fast_path,
)

from .freeze import freeze


class _Int4Product(torch.autograd.Function):
    """x W^T by the int4 kernel; backward: gradient W, with W dequantized. The weight itself gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Int4Weight) -> Tensor:
        ctx.weight = weight
        return kernels.int4_linear(x, weight, activations="float32")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        return gradients[0] @ ctx.weight.dense(), None


def group_of(inputs: int, group: int = GROUP) -> int:
    """The largest group up to `group` that the int4 kernel accepts for this many inputs; ValueError when there is none.

    >>> group_of(576), group_of(40)
    (64, 40)
    """
    sizes = [size for size in range(GROUP_STEP, min(group, inputs) + 1, GROUP_STEP) if inputs % size == 0]
    if not sizes:
        raise ValueError(
            f"group_of wants inputs that a multiple of {GROUP_STEP} divides, got {inputs} with groups up to {group}."
        )
    return sizes[-1]


class QLoRALinear(nn.Module):
    """A linear layer of 4-bit weights with a low-rank correction: y = int4(x) + (alpha / rank) (x A^T) B^T.

    x [..., in] float32 -> [..., out]. Only A [rank, in] and B [out, rank] learn; B starts at 0. `dense()` is the merged float layer:
    merging back into 4 bits would round the correction away. Raises TypeError for another layer; ValueError for a rank outside
    1..min(in, out), alpha that is not positive, or inputs that no group fits. Source: Dettmers et al. 2023.

    >>> layer = QLoRALinear(nn.Linear(64, 8), rank=2, alpha=2)
    >>> layer(torch.ones(3, 64)).shape, layer.weight.bytes
    (torch.Size([3, 8]), 576)
    """

    codes: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, group: int = GROUP, seed: int = 0) -> None:
        super().__init__()
        if not computes_as(linear, nn.Linear):
            raise TypeError(
                f"QLoRALinear wants an nn.Linear, got {described(linear, nn.Linear)}; convolutions have no int4 kernel."
            )
        out, inputs = linear.weight.shape
        if not isinstance(rank, int) or not 1 <= rank <= min(out, inputs) or not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"QLoRALinear wants a rank from 1 to {min(out, inputs)} and alpha > 0, got {rank} and {alpha}.")
        weight = Int4Weight.from_float(linear.weight, group_of(inputs, group))
        self.in_features, self.out_features, self.rank, self.alpha = inputs, out, rank, float(alpha)
        self.register_buffer("codes", weight.codes)
        self.register_buffer("scale", weight.scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())
        generator = torch.Generator().manual_seed(seed)
        self.A = nn.Parameter((2 * torch.rand(rank, inputs, generator=generator) - 1) / math.sqrt(inputs))
        self.B = nn.Parameter(torch.zeros(out, rank))
        self.macs_per_output = inputs

    @property
    def weight(self) -> Int4Weight:
        """The weight as the kernel takes it."""
        return Int4Weight(self.codes, self.scale, self.in_features, self.out_features)

    def forward(self, x: Float[Tensor, "*n in"]) -> Float[Tensor, "*n out"]:
        y = _Int4Product.apply(x, self.weight) + self.alpha / self.rank * F.linear(F.linear(x, self.A), self.B)
        return y if self.bias is None else y + self.bias

    @torch.no_grad()
    def dense(self) -> nn.Linear:
        """A float layer with the same outputs: the dequantized weight plus the correction."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        layer.weight.copy_(self.weight.dense() + self.alpha / self.rank * self.B @ self.A)
        if self.bias is not None:
            layer.bias.copy_(self.bias)
        return layer

    def extra_repr(self) -> str:
        return f"{self.out_features} x {self.in_features} in 4 bits, rank={self.rank}, alpha={self.alpha:g}"


def add_qlora(model: nn.Module, rank: int, alpha: float, group: int = GROUP, seed: int = 0) -> nn.Module:
    """A new network whose linear layers have 4 bits, each with a trainable low-rank correction.

    Linear layers whose inputs no group fits, or whose weight another module reads (in attention), and all other layers, stay in float
    and are frozen; batch norms keep their statistics.
    Raises ValueError for a model without a linear layer that fits.

    >>> model = add_qlora(nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2)), rank=1, alpha=1)
    >>> [type(layer).__name__ for layer in model]
    ['QLoRALinear', 'ReLU', 'QLoRALinear']
    """
    check_count("add_qlora", "rank", rank)
    check_own_weights("add_qlora", model)
    check_float32("add_qlora", model)
    adapted, read = copy.deepcopy(model), weights_read(model)
    plain = {name: m for name, m in adapted.named_modules() if computes_as(m, nn.Linear) and name not in read}
    fitting: list[Any] = [m for m in plain.values() if m.in_features % GROUP_STEP == 0]
    if not fitting:
        raise ValueError(f"add_qlora wants a Linear layer with a multiple of {GROUP_STEP} inputs, got none.")
    for number, layer in enumerate(fitting):
        own = min(rank, *layer.weight.shape)
        adapted = exchange(adapted, layer, QLoRALinear(layer, own, alpha * own / rank, group, seed + number))
    without_fast_path(adapted)
    freeze(adapted, [name for name, _ in adapted.named_parameters() if name.rpartition(".")[2] in ("A", "B")])
    return adapted
