"""Fake quantization with a gradient, and ranges that follow the training batches: the parts of quantization-aware training.

Rounding has a gradient of zero almost everywhere. The straight-through estimator uses the gradient of the identity inside the range
and of a constant outside. Source: Bengio, Leonard, Courville 2013.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .affine import affine_qparams, code_range, quantize, quantize_weight
from .chain import ActivationCodes, observed_range
from .config import QuantizationConfig
from .granularity import Granularity, PerChannel  # noqa: F401 - PerChannel for the example
from .rounding import scale_of_each_weight

AVERAGING = 0.05  # weight of a new batch in the moving average of a range


class FakeQuantize(torch.autograd.Function):
    """Fake quantization with a straight-through gradient: `FakeQuantize.apply(x, scale, zero_point, bits)`.

    forward:  (clamp(round(x / scale) + zero_point, qmin, qmax) - zero_point) * scale
    backward: the gradient passes where round(x / scale) + zero_point lies in qmin ... qmax, else it is 0

    x: any shape, float; scale and zero_point: one number or tensors that broadcast against x. Scale, zero point and
    bits get no gradient. Raises like `quantize`. Source: Bengio et al. 2013.

    >>> x = torch.tensor([0.26, 99.0], requires_grad=True)
    >>> FakeQuantize.apply(x, 0.1, 0, 8).sum().backward()
    >>> x.grad
    tensor([1., 0.])
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float | Tensor, zero_point: int | Tensor, bits: int) -> Tensor:
        low, high = code_range(bits, caller="FakeQuantize")
        codes = quantize(x, scale, zero_point, bits)
        unclamped = (x.detach() / scale).round() + zero_point
        ctx.save_for_backward((unclamped >= low) & (unclamped <= high))
        return ((codes.to(x.dtype) - zero_point) * scale).to(x.dtype)  # in the precision of x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


class RangeFollower(nn.Module):
    """Fake-quantize activations. In train mode the range is a moving average over the batches; in eval mode it is fixed.

    The first batch sets the range; each later one changes it by 5 % of the difference.
    """

    low: Tensor
    high: Tensor

    def __init__(self, config: QuantizationConfig, name: str) -> None:
        super().__init__()
        self.config, self.bits, self.name = config, config.activation_bits, name
        self.register_buffer("low", torch.tensor(float("nan"), dtype=torch.float64))
        self.register_buffer("high", torch.tensor(float("nan"), dtype=torch.float64))

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if self.training:
            for end, seen in zip((self.low, self.high), observed_range(x, self.config), strict=True):
                end.fill_(seen if end.isnan() else float(end) + AVERAGING * (seen - float(end)))
        return self.fake(x)

    def fake(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Fake-quantize with the present range."""
        codes = self.codes("this network")
        return FakeQuantize.apply(x, codes.scale, codes.zero_point, codes.bits)

    def codes(self, caller: str) -> ActivationCodes:
        """Scale and zero point of the present range; raises ValueError before the first batch."""
        if self.low.isnan():
            raise ValueError(
                f"{caller} wants a range for the output of '{self.name}', got none yet; train for at least one batch, "
                "or give calibration images to prepare_qat."
            )
        return ActivationCodes(*affine_qparams(float(self.low), float(self.high), self.bits), self.bits)


def rounded_weight(weight: Float[Tensor, "out ..."], bits: int, granularity: Granularity) -> Float[Tensor, "out ..."]:
    """The weight as `quantize_weight` rounds it, with a straight-through gradient.

    >>> weight = torch.tensor([[1.0, 0.4]], requires_grad=True)
    >>> rounded_weight(weight, 2, PerChannel()).tolist()
    [[1.0, 0.0]]
    """
    _, scale = quantize_weight(weight, bits, granularity)
    each = scale_of_each_weight(scale, weight.shape, granularity).reshape(weight.shape)
    return FakeQuantize.apply(weight, each, 0, bits)
