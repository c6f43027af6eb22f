"""LoRA: freeze a layer's weight and learn a correction of low rank beside it.

    W' = W + (alpha / rank) B A,   A [rank, in], B [out, rank]

B starts at 0, so that the network starts as it was. For a convolution, W is read as a matrix [out, in * kh * kw].
Source: Hu et al. 2022. Left out: dropout before A, other initializations, layers with tied weights.
"""

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.module_walks import computes_as, described


class LowRank(nn.Module):
    """The common part of both kinds of layers: the frozen base, A and B, and the merge. `inner` is the base's own name."""

    inner = "base"
    A: nn.Parameter
    B: nn.Parameter

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int, alpha: float, seed: int) -> None:
        super().__init__()
        weight = layer.weight
        outputs, inputs = len(weight), weight[0].numel()
        name = type(self).__name__
        if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= min(outputs, inputs):
            raise ValueError(
                f"{name} wants a rank from 1 to {min(outputs, inputs)}, the smaller side of its {outputs} x {inputs} weight, "
                f"got {rank}; a larger one could not change more."
            )
        if not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"{name} wants a positive, finite alpha, got {alpha}; alpha = rank gives the scale 1.")
        setattr(self, self.inner, copy.deepcopy(layer).requires_grad_(False))
        self.rank, self.alpha, self.merged = rank, float(alpha), False
        generator = torch.Generator().manual_seed(seed)
        bound = 1 / math.sqrt(inputs)  # Kaiming's uniform as nn.Linear uses it
        a = (2 * torch.rand(rank, inputs, generator=generator) - 1) * bound
        self.A = nn.Parameter(a.to(weight))
        self.B = nn.Parameter(torch.zeros(outputs, rank).to(weight))

    @property
    def base(self) -> nn.Linear | nn.Conv2d:
        """The frozen layer: `linear` or `conv`."""
        return self._modules[self.inner]  # type: ignore[return-value]

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Weights that were saved when the frozen layer of both kinds was called `base` can still be read."""
        for name in [name for name in state_dict if name.startswith(f"{prefix}base.")]:
            state_dict[f"{prefix}{self.inner}.{name.removeprefix(f'{prefix}base.')}"] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def scale(self) -> float:
        """alpha / rank: so that the same learning rate fits other ranks."""
        return self.alpha / self.rank

    def delta(self) -> Float[Tensor, "out ..."]:
        """The correction, in the shape of the base's weight."""
        return (self.scale * self.B @ self.A).reshape(self.base.weight.shape)

    @property
    def weight(self) -> Float[Tensor, "out ..."]:
        """The weight with its correction, for a module that reads it and does not call the layer (torch's attention does)."""
        return self.base.weight if self.merged else self.base.weight + self.delta()

    @property
    def bias(self) -> Float[Tensor, " out"] | None:
        """The base's bias, for such a module."""
        return self.base.bias

    @torch.no_grad()
    def merge(self) -> nn.Linear | nn.Conv2d:
        """Add the correction to the base, permanently, and return the base: a plain layer without additional cost.

        This layer still gives the same outputs. Raises RuntimeError when it was merged before: the correction would count
        twice.
        """
        if self.merged:
            raise RuntimeError(f"{type(self).__name__} is merged already; merging again would add the correction twice.")
        self.base.weight.add_(self.delta())
        self.merged = True
        return self.base

    def extra_repr(self) -> str:
        return f"rank={self.rank}, alpha={self.alpha:g}, merged={self.merged}"


class LoRALinear(LowRank):
    """A linear layer with a low-rank correction: y = base(x) + (alpha / rank) (x A^T) B^T.

    x [..., in] -> [..., out]; A [rank, in], B [out, rank]. The given layer is copied, the copy (`linear`) frozen; only A and B learn.
    Raises TypeError for another layer; ValueError for a rank outside 1..min(in, out) or alpha that is not positive.
    Source: Hu et al. 2022.

    >>> layer = nn.Linear(8, 4)
    >>> lora = LoRALinear(layer, rank=2, alpha=4)
    >>> torch.equal(lora(torch.ones(3, 8)), layer(torch.ones(3, 8))), sum(p.numel() for p in lora.parameters() if p.requires_grad)
    (True, 24)
    """

    inner = "linear"
    linear: nn.Linear

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, seed: int = 0) -> None:
        if not computes_as(linear, nn.Linear):
            raise TypeError(f"LoRALinear wants an nn.Linear, got {described(linear, nn.Linear)}; see LoRAConv2d.")
        super().__init__(linear, rank, alpha, seed)

    @property
    def macs_per_output(self) -> int:
        """The MACs that A and B add to the base's own count, rounded up; 0 once merged."""
        outputs, inputs = self.base.weight.shape
        return 0 if self.merged else self.rank + -(-self.rank * inputs // outputs)

    def forward(self, x: Float[Tensor, "*n in"]) -> Float[Tensor, "*n out"]:
        y = self.linear(x)
        return y if self.merged else y + self.scale * F.linear(F.linear(x, self.A), self.B)


class LoRAConv2d(LowRank):
    """A convolution with a low-rank correction: its weight is W + (alpha / rank) (B A), reshaped.

    x [n, c, h, w] -> [n, out, oh, ow]; A [rank, c / groups * kh * kw], B [out, rank]. That is the same as a convolution
    with `rank` filters A followed by a 1 x 1 convolution B. Raises like `LoRALinear`. Source: Hu et al. 2022.

    >>> conv = nn.Conv2d(3, 8, 3, padding=1)
    >>> torch.equal(LoRAConv2d(conv, rank=2, alpha=2)(torch.ones(1, 3, 5, 5)), conv(torch.ones(1, 3, 5, 5)))
    True
    """

    inner = "conv"
    conv: nn.Conv2d

    def __init__(self, conv: nn.Conv2d, rank: int, alpha: float, seed: int = 0) -> None:
        if not computes_as(conv, nn.Conv2d):
            raise TypeError(f"LoRAConv2d wants an nn.Conv2d, got {described(conv, nn.Conv2d)}; see LoRALinear.")
        super().__init__(conv, rank, alpha, seed)

    @property
    def macs_per_output(self) -> int:
        """Those of the convolution; its weight is computed once for all examples."""
        return self.base.weight[0].numel()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out oh ow"]:
        return self.conv._conv_forward(x, self.weight, self.conv.bias)  # keeps every padding mode
