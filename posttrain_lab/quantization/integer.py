"""Layers on integers: int8 times int8, summed in int32; scales are applied at the end, or as a fixed-point multiplier.

With x = (xq - x_zero) * x_scale and w = wq * w_scale[o], a sum of products splits into integers and scales:
    sum_k x[k] * w[o, k] = x_scale * w_scale[o] * (sum_k xq[k] * wq[o, k] - x_zero * sum_k wq[o, k])
Source: Jacob et al. 2018, sections 2.2 to 2.4. Left out: zero points of weights, which are symmetric here.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Float32, Int8, Int32
from torch import Tensor, nn

from posttrain_lab.module_walks import computes_as, described

from .affine import check_scale, check_zero_point, code_range, quantize, quantize_weight
from .granularity import PerChannel
from .integer_ops import conv_sums, linear_sums
from .layer_math import ConvShape, conv_shape

LARGEST_K = 65_793  # |xq - x_zero| <= 255 and |wq| <= 128: 255 * 128 * K must stay below 2^31


def fixed_point(multiplier: float) -> tuple[int, int]:
    """Which integers (m, shift) stand for a positive real multiplier? multiplier ~= m * 2^-shift, 2^30 <= m < 2^31.

    The relative error is at most 2^-31. A multiplier of 2^31 or more has a negative shift.

    Raises ValueError for a multiplier that is not positive and finite. Source: Jacob et al. 2018, section 2.2.

    >>> fixed_point(0.75)
    (1610612736, 31)
    """
    multiplier = float(multiplier)
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise ValueError(f"fixed_point wants a positive, finite multiplier, got {multiplier}; check the scales.")
    fraction, exponent = math.frexp(multiplier)  # fraction in [0.5, 1)
    m, shift = round(fraction * 2**31), 31 - exponent
    return (2**30, shift - 1) if m == 2**31 else (m, shift)


def requantize(
    acc: Int32[Tensor, "*shape"], multiplier: float | Float[Tensor, "*out"], zero_point: int, bits: int = 8
) -> Int8[Tensor, "*shape"]:
    """Which code of the next layer stands for each int32 sum? With integer arithmetic only.

    q = clamp(((acc * m + 2^(shift-1)) >> shift) + zero_point, qmin, qmax),  (m, shift) = fixed_point(multiplier)

    That is round(acc * m / 2^shift), and ties go up, towards +infinity. The product is computed in int64.
    acc: int32, any shape; multiplier: x_scale * w_scale / y_scale, one number or [out], one for each channel: axis 1
    of acc [n, out, ...], or the only axis of acc [out]; zero_point: a code. Result: int8, shape of acc.

    Raises TypeError for acc that is not int32; ValueError for a multiplier that is not positive and finite or has
    another length, a zero_point outside the codes, bits outside 2..8.
    Source: Jacob et al. 2018, section 2.2.

    >>> requantize(torch.tensor([5, -5, 1000], dtype=torch.int32), multiplier=0.5, zero_point=0)
    tensor([  3,  -2, 127], dtype=torch.int8)
    """
    codes = code_range(bits, caller="requantize")
    if not isinstance(acc, Tensor) or acc.dtype != torch.int32:
        kind = acc.dtype if isinstance(acc, Tensor) else type(acc).__name__
        raise TypeError(f"requantize wants int32 sums, got {kind}; use the sums as int8_matmul gives them.")
    check_zero_point(zero_point, acc, codes, "requantize")
    m, shift = _multipliers(acc, multiplier)
    wide = acc.to(torch.int64) * m
    return (((wide + (1 << (shift - 1))) >> shift) + zero_point).clamp(*codes).to(torch.int8)


def _multipliers(acc: Tensor, multiplier: float | Tensor) -> tuple[Tensor, Tensor]:
    """(m, shift) as int64 tensors that broadcast against acc.

    The shift is clamped to 1..63, which changes no code: acc * m has at most 62 bits and a sign, so a shift of 63 and
    every larger one give 0, and with a multiplier of 2^29 or more every sum except 0 saturates.
    """
    if not isinstance(multiplier, Tensor) or multiplier.ndim == 0:
        m, shift = fixed_point(float(multiplier))
        return torch.tensor(m), torch.tensor(min(max(shift, 1), 63))
    channels = acc.shape[:2][-1:]
    if multiplier.shape != channels:
        raise ValueError(
            f"requantize wants one multiplier, or {list(channels)} of them for sums of shape {tuple(acc.shape)}, "
            f"got {tuple(multiplier.shape)}; channels lie on axis 1."
        )
    pairs = [fixed_point(value) for value in multiplier.tolist()]
    fixed = torch.tensor(pairs, dtype=torch.int64, device=acc.device).reshape(-1, 2, *[1] * max(0, acc.ndim - 2))
    m, shift = fixed.unbind(1)
    return m, shift.clamp(1, 63)


def int8_linear(
    xq: Int8[Tensor, "n in"],
    x_scale: float,
    x_zero: int,
    wq: Int8[Tensor, "out in"],
    w_scale: Float[Tensor, " out"],
    bias: Float[Tensor, " out"] | None = None,
) -> Float32[Tensor, "n out"]:
    """The output of a linear layer whose inputs and weights are int8 codes.

    acc[n, o] = sum_k xq[n, k] * wq[o, k] - x_zero * sum_k wq[o, k]      exact, int32
    y[n, o]   = acc[n, o] * (x_scale * w_scale[o]) + bias[o]             float32

    xq [n, in] and wq [out, in]: int8; x_scale: units of x; x_zero: a code; w_scale [out]; bias [out], in units of y.

    Raises TypeError for codes that are not int8; ValueError for shapes that do not fit, scales that are not positive
    and finite, x_zero outside -128..127, or more than 65,793 inputs, where int32 could overflow.
    Source: Jacob et al. 2018.

    >>> xq, wq = torch.tensor([[-128, 127]], dtype=torch.int8), torch.tensor([[1, 2]], dtype=torch.int8)
    >>> int8_linear(xq, 0.1, -128, wq, torch.tensor([0.5]))  # 0.1 * 0.5 * (0 * 1 + 255 * 2)
    tensor([[25.5000]])
    """
    _check_operands("int8_linear", (xq, wq), 2, w_scale, bias)
    if xq.shape[1] != wq.shape[1]:
        raise ValueError(f"int8_linear wants equally many inputs, got {tuple(xq.shape)} and {tuple(wq.shape)}; see [n, in].")
    scale = _output_scale("int8_linear", xq, (x_scale, x_zero), w_scale)
    acc = linear_sums(xq, wq) - x_zero * wq.sum(1, dtype=torch.int32)
    y = acc.to(torch.float32) * scale
    return y if bias is None else y + bias


def int8_conv2d(
    xq: Int8[Tensor, "n c h w"],
    x_scale: float,
    x_zero: int,
    wq: Int8[Tensor, "out cg kh kw"],
    w_scale: Float[Tensor, " out"],
    bias: Float[Tensor, " out"] | None = None,
    shape: ConvShape = ConvShape(),  # noqa: B008 (frozen)
) -> Float32[Tensor, "n out oh ow"]:
    """The output of a convolution whose image and filters are int8 codes.

    acc = conv(xq, wq) - x_zero * sum wq[o], exact in int32;  y = acc * (x_scale * w_scale[o]) + bias[o], float32

    xq [n, c, h, w], wq [out, c / groups, kh, kw]: int8; `shape`: stride, pads, dilation, groups. The border is padded
    with x_zero, the code of 0.0. Every window becomes a row of one integer matrix product (im2col).

    Raises like `int8_linear`, and ValueError for channels that do not fit the groups or an image smaller than the
    filter. Source: Jacob et al. 2018.

    >>> ones = torch.ones(1, 1, 2, 2, dtype=torch.int8)
    >>> int8_conv2d(ones, 0.5, -1, ones, torch.tensor([1.0]))  # four times 0.5 * (1 + 1) * 1
    tensor([[[[4.]]]])
    """
    _check_operands("int8_conv2d", (xq, wq), 4, w_scale, bias)
    channels, filters = xq.shape[1], wq.shape[0]
    if wq.shape[1] * shape.groups != channels or filters % shape.groups:
        raise ValueError(
            f"int8_conv2d wants channels = groups * wq.shape[1] and filters that groups divide, got {channels}, "
            f"wq {tuple(wq.shape)}, {shape.groups} groups; use the ConvShape of the layer that wq is from."
        )
    scale = _output_scale("int8_conv2d", xq, (x_scale, x_zero), w_scale)
    acc = conv_sums(xq, wq, shape, x_zero) - x_zero * wq.flatten(1).sum(1, dtype=torch.int32)
    y = acc.to(torch.float32) * scale
    return (y if bias is None else y + bias).permute(0, 3, 1, 2)


def _check_operands(caller: str, codes: tuple[Tensor, Tensor], ndim: int, w_scale: Tensor, bias: Tensor | None) -> None:
    for name, value in zip(("xq", "wq"), codes, strict=True):
        if not isinstance(value, Tensor) or value.dtype != torch.int8:
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{caller} wants int8 codes as {name}, got {kind}; use quantize or quantize_weight.")
        if value.ndim != ndim:
            raise ValueError(f"{caller} wants {name} with {ndim} axes, got shape {tuple(value.shape)}; reshape it.")
    wq = codes[1]
    if wq[:1].numel() > LARGEST_K:
        raise ValueError(f"{caller} wants at most {LARGEST_K} weights a channel, got {wq[:1].numel()}; int32 could overflow.")
    for name, value in (("w_scale", w_scale), ("bias", bias)):
        if value is not None and value.shape != wq.shape[:1]:
            raise ValueError(f"{caller} wants {name} [{len(wq)}], got {tuple(value.shape)}; one number for each output.")


def _output_scale(caller: str, xq: Tensor, x: tuple[float, int], w_scale: Tensor) -> Tensor:
    """x_scale * w_scale [out], float32; checks both, and the zero point."""
    check_zero_point(x[1], xq, (-128, 127), caller)
    scale = check_scale(x[0], xq, torch.float32, caller) * check_scale(w_scale, w_scale, torch.float32, caller)
    if scale.numel() and not scale.amin().item() > 0:
        raise ValueError(f"{caller} wants x_scale * w_scale above 0 in float32, got {x[0]} and {w_scale.amin()}; rescale.")
    return scale


Matmul = Callable[..., Tensor]


class _Int8Layer(nn.Module):
    """Codes, scales and bias of one layer, as buffers (the input's scale and zero point too), so that all are saved."""

    wq: Tensor
    w_scale: Tensor
    x_scale: Tensor
    x_zero: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear | nn.Conv2d, x_scale: float, x_zero: int, matmul: Matmul) -> None:
        super().__init__()
        wq, w_scale = quantize_weight(layer.weight, 8, PerChannel())
        check_scale(x_scale, wq, torch.float32, type(self).__name__)
        check_zero_point(x_zero, wq, (-128, 127), type(self).__name__)
        self.matmul = matmul
        self.register_buffer("wq", wq)
        self.register_buffer("w_scale", w_scale.to(torch.float32))
        self.register_buffer("x_scale", torch.tensor(x_scale, dtype=torch.float64))
        self.register_buffer("x_zero", torch.tensor(x_zero, dtype=torch.int8))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def _operands(self, x: Tensor) -> tuple:
        x_scale, x_zero = self.x_scale.item(), int(self.x_zero.item())
        return quantize(x, x_scale, x_zero), x_scale, x_zero, self.wq, self.w_scale, self.bias

    def extra_repr(self) -> str:
        return f"{list(self.wq.shape)}, x_scale={self.x_scale.item():.3g}, x_zero={int(self.x_zero.item())}"


class Int8Linear(_Int8Layer):
    """A linear layer on int8 codes: x [..., in] float -> quantize -> `matmul` -> [..., out] float32.

    >>> layer = Int8Linear.from_linear(nn.Linear(4, 2), x_scale=0.1, x_zero=0)
    >>> layer(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    @classmethod
    def from_linear(cls, layer: nn.Linear, x_scale: float, x_zero: int, matmul: Matmul = int8_linear) -> "Int8Linear":
        """The int8 layer that replaces `layer` on inputs with this scale and zero point. Weights: 8 bits per channel.

        `matmul` computes the product, with the arguments of `int8_linear`: another implementation can be given.
        Raises TypeError for another layer; ValueError like `quantize_weight` and `int8_linear`.
        """
        if not computes_as(layer, nn.Linear):
            raise TypeError(f"Int8Linear.from_linear wants an nn.Linear, got {described(layer, nn.Linear)}; see Int8Conv2d.")
        return cls(layer, x_scale, x_zero, matmul)

    def forward(self, x: Float[Tensor, "*n in"]) -> Float[Tensor, "*n out"]:
        y = self.matmul(*self._operands(x.reshape(-1, x.shape[-1])))
        return y.reshape(*x.shape[:-1], self.wq.shape[0])


class Int8Conv2d(_Int8Layer):
    """A convolution on int8 codes: x [n, c, h, w] float -> quantize -> `matmul` -> [n, out, oh, ow] float32.

    >>> layer = Int8Conv2d.from_conv2d(nn.Conv2d(1, 2, 3, padding=1), x_scale=0.1, x_zero=0)
    >>> layer(torch.ones(1, 1, 4, 4)).shape
    torch.Size([1, 2, 4, 4])
    """

    def __init__(self, layer: nn.Conv2d, x_scale: float, x_zero: int, matmul: Matmul) -> None:
        super().__init__(layer, x_scale, x_zero, matmul)
        self.shape = conv_shape(layer)

    @classmethod
    def from_conv2d(cls, layer: nn.Conv2d, x_scale: float, x_zero: int, matmul: Matmul = int8_conv2d) -> "Int8Conv2d":
        """The int8 layer that replaces `layer` on inputs with this scale and zero point. Weights: 8 bits per channel.

        `matmul` computes the product, with the arguments of `int8_conv2d`.
        Raises TypeError for another layer; ValueError for padding with anything but zeros, or like `int8_conv2d`.
        """
        if not computes_as(layer, nn.Conv2d):
            raise TypeError(f"Int8Conv2d.from_conv2d wants an nn.Conv2d, got {described(layer, nn.Conv2d)}; see Int8Linear.")
        if layer.padding_mode != "zeros":
            raise ValueError(f"Int8Conv2d.from_conv2d wants padding_mode 'zeros', got {layer.padding_mode!r}; pad before it.")
        return cls(layer, x_scale, x_zero, matmul)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out oh ow"]:
        return self.matmul(*self._operands(x), self.shape)
