"""Layers that replace nn.Linear and nn.Conv2d in any model: weights as codes, inputs as floats.

| class                              | mode          | what happens in `forward`                                      |
|------------------------------------|---------------|----------------------------------------------------------------|
| WeightOnlyLinear, WeightOnlyConv2d | "weight_only" | codes -> float weights -> float product                        |
| DynamicLinear, DynamicConv2d       | "dynamic"     | range of this input -> int8 codes -> exact int32 sums -> float |
| Int4Linear                         | no mode       | fixed range -> int8 codes; weights unpacked -> int32 -> float  |

A dynamic layer takes one range from the whole batch, as torch does: an example's result depends a little on the other
examples of its batch.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.module_walks import computes_as, described

from .affine import affine_qparams, dequantize_weight, quantize, quantize_weight
from .config import QuantizationConfig
from .granularity import Granularity
from .integer import int8_linear
from .integer_ops import conv_sums, linear_sums
from .layer_math import conv_shape, convolve
from .packing import pack_codes, unpack_codes
from .rounding import layer_granularity


class CodedLayer(nn.Module):
    """Packed codes [out, ...], float32 scales and a float bias instead of a weight."""

    codes: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear | nn.Conv2d, codes: Tensor, scale: Tensor, config: QuantizationConfig) -> None:
        super().__init__()
        self.bits, self.granularity = config.bits, layer_granularity(layer.weight, config.granularity)
        self.activation_bits = config.activation_bits
        self.shape, self.macs_per_output = tuple(codes.shape), codes[0].numel()
        self.register_buffer("codes", pack_codes(codes, config.bits))
        self.register_buffer("scale", scale.float().clone())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def weight_codes(self) -> Tensor:
        """int8 codes in the shape of the weight."""
        return unpack_codes(self.codes, self.bits, self.shape)

    def dequantized(self) -> Float[Tensor, "out ..."]:
        """The dequantized weight, float32."""
        granularity: Granularity = self.granularity
        return dequantize_weight(self.weight_codes(), self.scale, granularity)

    @property
    def weight(self) -> Float[Tensor, "out ..."]:
        """The dequantized weight, float32, for code that multiplies with a layer's weight itself."""
        return self.dequantized()

    def extra_repr(self) -> str:
        return f"{list(self.shape)}, bits={self.bits}, {self.granularity}"


class CodedLinear(CodedLayer):
    """The attributes of nn.Linear for a coded layer."""

    def __init__(self, layer: nn.Linear, codes: Tensor, scale: Tensor, config: QuantizationConfig) -> None:
        super().__init__(layer, codes, scale, config)
        self.in_features, self.out_features = layer.in_features, layer.out_features


class CodedConv2d(CodedLayer):
    """The attributes of nn.Conv2d for a coded layer."""

    def __init__(self, layer: nn.Conv2d, codes: Tensor, scale: Tensor, config: QuantizationConfig) -> None:
        super().__init__(layer, codes, scale, config)
        self.conv = conv_shape(layer)


class WeightOnlyLinear(CodedLinear):
    """x [..., in] float -> x W^T + bias [..., out], W from codes."""

    def forward(self, x: Float[Tensor, "*n features"]) -> Float[Tensor, "*n out"]:
        return F.linear(x, self.weight, self.bias)


class WeightOnlyConv2d(CodedConv2d):
    """x [n, c, h, w] float -> convolution with W from codes."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out oh ow"]:
        return convolve(x, self.weight, self.bias, self.conv)


def _input_codes(x: Tensor, bits: int) -> tuple[Tensor, float, int]:
    """Codes, scale and zero point for the range of this input."""
    low, high = (0.0, 0.0) if x.numel() == 0 else (float(end) for end in x.aminmax())
    scale, zero_point = affine_qparams(low, high, bits)
    return quantize(x, scale, zero_point, bits), scale, zero_point


def _refuse_weight(layer: CodedLayer) -> Tensor:
    """Code that takes a layer's weight and multiplies itself would compute with floats, and nobody would notice."""
    raise RuntimeError(
        f"{type(layer).__name__} multiplies integers in its own forward, but other code reads its weight to multiply floats; give "
        "quantize_model calibration images, so that it traces the network, or use mode 'weight_only'. To look at the numbers: "
        "layer.dequantized()."
    )


class DynamicLinear(CodedLinear):
    """x [..., in] float -> [..., out] float: (sum_k x * w - x_zero * sum_k w) * x_scale * w_scale + bias, of codes."""

    weight = property(_refuse_weight)

    def forward(self, x: Float[Tensor, "*n features"]) -> Float[Tensor, "*n out"]:
        codes, scale, zero_point = _input_codes(x.detach().reshape(-1, self.in_features), self.activation_bits)
        weight = self.weight_codes()
        sums = linear_sums(codes, weight) - zero_point * weight.sum(1, dtype=torch.int32)
        y = sums.float() * (self.scale * scale)
        y = y if self.bias is None else y + self.bias
        return y.reshape(*x.shape[:-1], self.out_features)


class DynamicConv2d(CodedConv2d):
    """x [n, c, h, w] float -> [n, out, oh, ow] float by exact int32 sums, padded with the zero point."""

    weight = property(_refuse_weight)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out oh ow"]:
        codes, scale, zero_point = _input_codes(x.detach(), self.activation_bits)
        weight = self.weight_codes()
        correction = zero_point * weight.flatten(1).sum(1, dtype=torch.int32)
        sums = conv_sums(codes, weight, self.conv, zero_point) - correction
        y = sums.float() * (self.scale * scale)
        return (y if self.bias is None else y + self.bias).permute(0, 3, 1, 2)


class Int4Linear(CodedLinear):
    """Half the bytes of `Int8Linear`, and more work: two weights a byte, unpacked to int8 again in every call.

    x [..., in] float -> codes on a fixed scale -> unpacked weights -> exact int32 sums -> [..., out] float32.

    >>> layer = Int4Linear.from_linear(nn.Linear(6, 2), x_scale=0.1, x_zero=0)
    >>> layer.codes.shape, layer(torch.ones(3, 6)).shape
    (torch.Size([6]), torch.Size([3, 2]))
    """

    x_scale: float
    x_zero: int

    @classmethod
    def from_linear(cls, layer: nn.Linear, x_scale: float, x_zero: int) -> "Int4Linear":
        """The layer that replaces `layer` on inputs with this scale and zero point: 4 bits, nearest, per channel.

        Raises TypeError for another layer, ValueError like `quantize_weight`; the first input checks the scale.
        """
        if not computes_as(layer, nn.Linear):
            raise TypeError(f"Int4Linear.from_linear wants an nn.Linear, got {described(layer, nn.Linear)}.")
        config = QuantizationConfig(bits=4, mode="dynamic")
        made = cls(layer, *quantize_weight(layer.weight, 4, config.granularity), config)
        made.x_scale, made.x_zero = float(x_scale), int(x_zero)
        return made

    def forward(self, x: Float[Tensor, "*n features"]) -> Float[Tensor, "*n out"]:
        codes = quantize(x.detach().reshape(-1, self.in_features), self.x_scale, self.x_zero)
        y = int8_linear(codes, self.x_scale, self.x_zero, self.weight_codes(), self.scale, self.bias)
        return y.reshape(*x.shape[:-1], self.out_features)


REPLACEMENTS: dict[str, tuple[type[CodedLinear], type[CodedConv2d]]] = {
    "weight_only": (WeightOnlyLinear, WeightOnlyConv2d),
    "dynamic": (DynamicLinear, DynamicConv2d),
}


def coded_layer(layer: nn.Linear | nn.Conv2d, codes: Tensor, scale: Tensor, config: QuantizationConfig, mode: str) -> CodedLayer:
    """The coded layer of `mode` that replaces this layer."""
    linear, conv = REPLACEMENTS[mode]
    if isinstance(layer, nn.Linear):
        return linear(layer, codes, scale, config)
    return conv(layer, codes, scale, config)
