"""A network that computes with integers only: int8 between the layers, int32 sums, fixed-point multipliers between
scales.

Between the input's quantization and the output's dequantization no number is a float. Each layer computes
    sums   = sum_k x[k] * w[o, k] + bias[o]                      int32; bias includes -x_zero * sum_k w[o, k]
    output = clamp(round(sums * multiplier[o] / 2^shift[o]) + y_zero)    with multiplier / 2^shift = x_scale *
    w_scale[o] / y_scale
A ReLU is the clamp's lower end, at the zero point. The last layer keeps its int32 sums: they are the logits, in units
of x_scale * w_scale[o]. Source: Jacob et al. 2018.
"""

import copy

import torch
from jaxtyping import Float, Int, Int8, Int32, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab import kernels

from .affine import code_range, dequantize, quantize
from .chain import ActivationCodes, QuantizedChain, QuantizedStep
from .integer import fixed_point
from .integer_ops import conv_sums, linear_sums, rescale, windows
from .layer_math import ConvShape, conv_shape, pair
from .packing import pack_codes, unpack_codes

LARGEST_SUM = 2**30  # products with a 31-bit multiplier then fit int64 with two bits to spare
LARGEST_BIAS = LARGEST_SUM // 2


class IntegerLayer(nn.Module):
    """The common part of Linear and Conv2d: packed codes, int32 bias, and a rescaling to int8 (not for the last layer)."""

    codes: Tensor
    bias: Tensor
    multiplier: Tensor
    shift: Tensor

    def __init__(self, step: QuantizedStep, x: ActivationCodes, bits: int) -> None:
        super().__init__()
        assert step.codes is not None
        assert step.scale is not None
        self.x, self.y, self.bits, self.relu = x, step.output, bits, step.relu
        self.shape = tuple(step.codes.shape)
        self.macs_per_output = step.codes[0].numel()
        scale = step.scale.double().expand(self.shape[0])
        codes, scale = _with_room_for_bias(step, scale * x.scale)
        offset = -x.zero_point * codes.flatten(1).sum(1, dtype=torch.int64)
        if step.layer.bias is not None:
            offset = offset + (step.layer.bias.detach().double() / scale).round().long()
        _check_sums(step.name, codes, offset)
        self.sum_scale = tuple(scale.tolist())  # the real value of one unit of the int32 sums
        self.register_buffer("codes", pack_codes(codes, bits))
        self.register_buffer("bias", offset.to(torch.int32))
        if self.y is not None:
            fixed = [_fixed_point(one / self.y.scale) for one in self.sum_scale]
            self.register_buffer("multiplier", torch.tensor([m for m, _ in fixed], dtype=torch.int32))
            self.register_buffer("shift", torch.tensor([s for _, s in fixed], dtype=torch.int8))

    def weight_codes(self) -> Int8[Tensor, "..."]:
        """The weight codes, int8, unpacked when they share bytes."""
        return unpack_codes(self.codes, self.bits, self.shape)

    def finish(self, sums: Int32[Tensor, "... out"]) -> Int[Tensor, "... out"]:
        """Add the bias, then rescale and clamp to the output's codes; the last layer returns the sums."""
        if self.y is None:
            sums = sums + self.bias
            return sums.clamp_min_(0) if self.relu else sums
        fixed = self.multiplier.long(), self.shift.long()
        if sums.device.type == "cpu":
            from posttrain_lab.kernels.cpu.requantize import rescale_to_codes  # Numba: loaded at the first use

            return rescale_to_codes(sums, self.bias, fixed, self.y.zero_point, self.limits())
        return rescale(sums + self.bias, *fixed).add_(self.y.zero_point).clamp_(*self.limits()).to(torch.int8)

    def limits(self) -> tuple[int, int]:
        """The codes to which the output is clamped; with a ReLU the lower one is at least the zero point."""
        assert self.y is not None
        low, high = code_range(self.y.bits)
        return max(low, self.y.zero_point) if self.relu else low, high


def _fixed_point(multiplier: float) -> tuple[int, int]:
    """`fixed_point` with the shift clamped to 1..62: beyond, every sum becomes 0 or saturates anyway."""
    if multiplier < 2.0**-32:
        return 0, 62
    return fixed_point(multiplier) if multiplier < 2.0**29 else (2**30, 1)


def _with_room_for_bias(step: QuantizedStep, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and scales of the sums; a channel whose bias would not fit int32 gets a larger scale, and so smaller codes.

    The weights of such channels are a million times smaller than their bias (batch norm makes them), so the codes hardly
    matter.
    """
    assert step.codes is not None
    codes, bias = step.codes, step.layer.bias
    if bias is None:
        return codes, unit
    roomy = torch.maximum(unit, bias.detach().double().abs() / LARGEST_BIAS)
    shrink = (unit / roomy).reshape(-1, *[1] * (codes.ndim - 1))
    return (codes * shrink).round().to(torch.int8), roomy


def _check_sums(name: str, codes: Tensor, offset: Tensor) -> None:
    largest = 128 * codes.flatten(1).abs().sum(1, dtype=torch.int64) + offset.abs()
    if int(largest.max()) >= LARGEST_SUM:
        raise ValueError(
            f"quantize_model wants integer sums below 2^30, but layer '{name}' can reach {int(largest.max())}; "
            "use fewer bits, or mode 'static' for this model."
        )


class IntegerLinear(IntegerLayer):
    """int8 [..., in] -> int8 [..., out] (int32 when last): one integer matrix product, rescaled."""

    def forward(self, codes: Int8[Tensor, "*n features"]) -> Int[Tensor, "*n out"]:
        rows = self.finish(linear_sums(codes.reshape(-1, codes.shape[-1]), self.weight_codes()))
        return rows.reshape(*codes.shape[:-1], rows.shape[-1])


class IntegerConv2d(IntegerLayer):
    """int8 [n, c, h, w] -> int8 [n, out, oh, ow] (int32 when last), padded with the input's zero point."""

    def __init__(self, step: QuantizedStep, x: ActivationCodes, bits: int) -> None:
        super().__init__(step, x, bits)
        assert isinstance(step.layer, nn.Conv2d)
        self.conv: ConvShape = conv_shape(step.layer)
        self._packed: tuple | None = None

    def forward(self, codes: Int8[Tensor, "n c h w"]) -> Int[Tensor, "n out oh ow"]:
        return self.finish(self._sums(codes)).permute(0, 3, 1, 2)

    def _sums(self, codes: Int8[Tensor, "n c h w"]) -> Int32[Tensor, "n oh ow out"]:
        """The sums, by the convolution kernel if it supports the shape: one stride, one padding, no dilation."""
        stride, padding = self.conv.stride[0], self.conv.pads[0]
        if self.conv != ConvShape((stride, stride), (padding, padding, padding, padding), (1, 1), self.conv.groups):
            return conv_sums(codes, self.weight_codes(), self.conv, self.x.zero_point)
        return kernels.int8_conv2d(codes.permute(0, 2, 3, 1), self._filters(), stride, padding, self.x.zero_point)

    def _filters(self) -> kernels.Int8ConvWeight:
        """The codes in the kernel's layout, packed once, and again when other codes were loaded."""
        now = (self.codes.data_ptr(), self.codes._version, self.codes.device)
        if self._packed is None or self._packed[0] != now:
            self._packed = now, kernels.Int8ConvWeight.from_codes(self.weight_codes(), None, self.conv.groups)
        return self._packed[1]


class IntegerReLU(nn.Module):
    """A ReLU that does not follow a Linear or Conv2d: codes below the zero point become the zero point."""

    def __init__(self, zero_point: int) -> None:
        super().__init__()
        self.zero_point = zero_point

    def forward(self, codes: Int8[Tensor, "*shape"]) -> Int8[Tensor, "*shape"]:
        return codes.clamp_min(self.zero_point)


class IntegerMaxPool2d(nn.Module):
    """The largest code of each window: codes have the same order as the real numbers, so no rescaling is needed."""

    def __init__(self, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.size, self.step, self.pad = pair(layer.kernel_size), pair(layer.stride), pair(layer.padding)
        self.spread = pair(layer.dilation)

    def forward(self, codes: Int8[Tensor, "n c h w"]) -> Int8[Tensor, "n c oh ow"]:
        if any(self.pad):
            codes = F.pad(codes, (self.pad[1], self.pad[1], self.pad[0], self.pad[0]), value=-128)
        views = windows(codes, self.size, self.step, self.spread)
        best = next(views).clone()
        for view in views:
            torch.maximum(best, view, out=best)
        return best


class IntegerAvgPool2d(nn.Module):
    """The mean code of each window, ties up: floor((2 sum + count) / (2 count)). Scale and zero point stay."""

    def __init__(self, layer: nn.AvgPool2d) -> None:
        super().__init__()
        self.size, self.step = pair(layer.kernel_size), pair(layer.stride)

    def forward(self, codes: Int8[Tensor, "n c h w"]) -> Int8[Tensor, "n c oh ow"]:
        count = self.size[0] * self.size[1]
        total = sum(view.to(torch.int32) for view in windows(codes, self.size, self.step, (1, 1)))
        return torch.div(2 * total + count, 2 * count, rounding_mode="floor").to(torch.int8)


class IntegerNetwork(nn.Module):
    """quantize -> integer layers -> dequantize. `layers` is an nn.Sequential; `input` and `output` have the scales and zero
    points of the codes.

    `forward` takes and returns floats; `quantize_input`, `integer` and `dequantize_output` are its three parts. On the CPU one compiled
    function does all three wherever it can (`posttrain_lab/deployment/one_call.py`), with the same bits.
    `output` is None when the network ends with a Linear or Conv2d: its int32 sums then have one scale per channel,
    `sum_scale`.
    """

    def __init__(
        self, layers: nn.Sequential, x: ActivationCodes, y: ActivationCodes | None, input_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.layers, self.input, self.output, self.input_shape = layers, x, y, input_shape
        self.batch = 128  # images at a time: keeps the int32 sums in the processor's cache

    def quantize_input(self, x: Float[Tensor, "n ..."]) -> Int8[Tensor, "n ..."]:
        """Floats to the codes of the first layer."""
        return quantize(x, self.input.scale, self.input.zero_point, self.input.bits)

    def integer(self, codes: Int8[Tensor, "n ..."]) -> Int[Tensor, "n ..."]:
        """int8 codes in; int8 codes, or the int32 sums of the last layer, out."""
        return self.layers(codes)

    @property
    def sum_scale(self) -> Float[Tensor, " out"]:
        """The real value of one unit of the last layer's int32 sums, for each channel, float32."""
        last = [layer for layer in self.layers if isinstance(layer, IntegerLayer)][-1]
        return torch.tensor(last.sum_scale, dtype=torch.float32)

    def dequantize_output(self, values: Int[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """The real values of the last layer's integers."""
        if self.output is not None:
            return dequantize(values, self.output.scale, self.output.zero_point)
        linear = isinstance([layer for layer in self.layers if isinstance(layer, IntegerLayer)][-1], IntegerLinear)
        return values.float() * (self.sum_scale if linear else self.sum_scale.reshape(-1, *[1] * (values.ndim - 2)))

    @torch.no_grad()
    def forward(self, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        from posttrain_lab.deployment.one_call import in_one_call  # Numba, and what builds on this file: loaded at the first use

        done = in_one_call(self, x)
        if done is not None:
            return done
        parts = x.split(self.batch) if len(x) else [x]
        return torch.cat([self.dequantize_output(self.integer(self.quantize_input(part))) for part in parts])


def integer_network(quantized: QuantizedChain, bits: int) -> IntegerNetwork:
    """Put the integer layers of a quantized chain together. `bits`: of the weights."""
    layers, now = nn.Sequential(), quantized.input
    for step in quantized.steps:
        layers.add_module(step.name.replace(".", "_"), _integer_layer(step, now, bits))
        now = step.output or now
    output = None if quantized.steps[-1].codes is not None else now
    return IntegerNetwork(layers, quantized.input, output, quantized.input_shape)


def _integer_layer(step: QuantizedStep, x: ActivationCodes, bits: int) -> nn.Module:
    if isinstance(step.layer, nn.Conv2d):
        return IntegerConv2d(step, x, bits)
    if isinstance(step.layer, nn.Linear):
        return IntegerLinear(step, x, bits)
    if isinstance(step.layer, nn.MaxPool2d):
        return IntegerMaxPool2d(step.layer)
    if isinstance(step.layer, nn.AvgPool2d):
        return IntegerAvgPool2d(step.layer)
    return IntegerReLU(x.zero_point) if isinstance(step.layer, nn.ReLU) else copy.deepcopy(step.layer)
