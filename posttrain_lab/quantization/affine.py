"""Real numbers to small integers and back: value ~= (code - zero_point) * scale.

Conventions of the whole kit:
- codes are signed: `bits` bits give -2^(bits-1) ... 2^(bits-1) - 1, stored in int8 for every number of bits;
- symmetric codes leave out the lowest one (8 bits: -127 ... 127), so that a grid is the same on both sides of zero;
- one code always stands for exactly zero, because zero padding and ReLU make zeros that must stay zeros;
- rounding is to the nearest code, ties to the even one.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference".
"""

import math

import torch
from jaxtyping import Float, Float32, Int, Int8, Integer
from torch import Tensor

from .granularity import Granularity, PerChannel, PerGroup, PerTensor

SMALLEST_SCALE = torch.finfo(torch.float32).tiny  # below it float32 loses digits, and x / scale would overflow
LARGEST_SCALE = torch.finfo(torch.float32).max


def code_range(bits: int = 8, symmetric: bool = False, caller: str = "code_range") -> tuple[int, int]:
    """Which codes do `bits` bits give? (-2^(bits-1), 2^(bits-1) - 1); symmetric: both ends 2^(bits-1) - 1 from zero.

    Raises TypeError for bits that are not a whole number and ValueError for bits outside 2..8; messages name `caller`.

    >>> code_range(8), code_range(4, symmetric=True)
    ((-128, 127), (-7, 7))
    """
    if isinstance(bits, bool) or not isinstance(bits, int):
        raise TypeError(f"{caller} wants a whole number of bits, got {bits!r}; use 2 to 8.")
    if not 2 <= bits <= 8:
        raise ValueError(f"{caller} wants bits from 2 to 8, got {bits}; codes are stored in int8.")
    top = 2 ** (bits - 1) - 1
    return (-top if symmetric else -top - 1), top


def affine_qparams(low: float, high: float, bits: int = 8, symmetric: bool = False) -> tuple[float, int]:
    """Which scale and zero point map the real range [low, high] onto the codes of `bits` bits?

    The range is first widened to contain 0. Then, with codes qmin ... qmax,
        asymmetric: scale = (high - low) / (qmax - qmin),  zero_point = round(qmin - low / scale)
        symmetric:  scale = max(-low, high) / qmax,        zero_point = 0
    A range of zero width at 0 (a tensor of zeros) gives scale 1.0 and zero point 0. The scale has the units of the
    range, and is never below float32's smallest normal number.

    Raises ValueError for low > high, NaN, infinity, a scale beyond float32, bits outside 2..8.
    Source: Jacob et al. 2018.

    >>> affine_qparams(0.0, 25.5)
    (0.1, -128)
    """
    qmin, qmax = code_range(bits, symmetric, "affine_qparams")
    low, high = float(low), float(high)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"affine_qparams wants a finite range, got {low} to {high}; remove NaN and infinity.")
    if low > high:
        raise ValueError(f"affine_qparams wants low <= high, got {low} and {high}; swap them.")
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = max(-low, high) / qmax if symmetric else (high - low) / (qmax - qmin)
    if scale > LARGEST_SCALE:
        raise ValueError(f"affine_qparams wants a range that float32 can hold, got {low} to {high}; rescale x.")
    scale = max(scale, SMALLEST_SCALE)
    return scale, 0 if symmetric else round(qmin - low / scale)


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__


def check_scale(scale: float | Tensor, like: Tensor, dtype: torch.dtype, caller: str) -> Tensor:
    """The scale as a tensor of `dtype` on the device of `like`, positive, finite and able to broadcast against it."""
    result = torch.as_tensor(scale, dtype=dtype, device=like.device)
    if result.numel() and not 0 < (ends := _ends(result))[0] <= ends[1] < math.inf:  # false for NaN too
        raise ValueError(f"{caller} wants a positive, finite {dtype} scale, got {scale}; see affine_qparams.")
    _check_broadcast(result, like, "scale", caller)
    return result


def check_zero_point(zero_point: int | Tensor, like: Tensor, codes: tuple[int, int], caller: str) -> Tensor:
    """The zero point as an int32 tensor on the device of `like`, one of the codes and able to broadcast against it."""
    result = torch.as_tensor(zero_point, device=like.device)
    if result.is_floating_point() or result.is_complex() or result.dtype == torch.bool:
        raise TypeError(f"{caller} wants a whole number as zero_point, got {zero_point!r}; it is a code, so use int().")
    if result.numel() and not codes[0] <= (ends := _ends(result))[0] <= ends[1] <= codes[1]:
        raise ValueError(f"{caller} wants a zero_point in {codes[0]}..{codes[1]}, got {zero_point}; it is a code.")
    _check_broadcast(result, like, "zero_point", caller)
    return result.to(torch.int32)


def _ends(values: Tensor) -> tuple[float, float]:
    """The smallest and the largest. (A single number is both, and is asked for thousands of times.)"""
    if values.numel() == 1:
        return float(values.item()), float(values.item())
    return float(values.amin().item()), float(values.amax().item())


def _check_broadcast(value: Tensor, like: Tensor, name: str, caller: str) -> None:
    sizes = zip(reversed(value.shape), reversed(like.shape), strict=False)  # from the last axis; broadcast_shapes takes 0.1 ms
    fits = value.ndim <= like.ndim and all(mine in (1, theirs) for mine, theirs in sizes)
    if not fits:
        raise ValueError(
            f"{caller} wants a {name} that broadcasts against {tuple(like.shape)}, got {tuple(value.shape)}; "
            f"give one number, or add axes of size 1 such as {name}[:, None]."
        )


def quantize(
    x: Float[Tensor, "*shape"], scale: float | Float[Tensor, "..."], zero_point: int | Int[Tensor, "..."], bits: int = 8
) -> Int8[Tensor, "*shape"]:
    """Which code stands for each real number? Nearest code, ties to even, clamped to the ends.

    q = clamp(round(x / scale) + zero_point, qmin, qmax)

    x: any shape, float; scale: in units of x, one number or a tensor that broadcasts against x; zero_point: one code or
    a tensor of codes. Result: int8, shape of x. Inside the range the error |x - dequantize(q)| is at most scale / 2,
    plus float32's own rounding. Infinity saturates like any other number that is too large. The division is done in
    float32 (float64 when x is float64).

    Raises TypeError for x that is not float or a zero_point that is not whole; ValueError for NaN in x, a scale that is
    not positive and finite, a zero_point outside the codes, shapes that do not broadcast, bits outside 2..8.
    Source: Jacob et al. 2018.

    >>> quantize(torch.tensor([0.26, -0.26, 99.0]), scale=0.1, zero_point=0)
    tensor([  3,  -3, 127], dtype=torch.int8)
    """
    codes = code_range(bits, caller="quantize")
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(f"quantize wants a float tensor x, got {_kind(x)}; convert with .float().")
    if torch.isnan(x).any():
        raise ValueError("quantize wants numbers in x, got NaN, for which there is no code; find its source.")
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    steps = check_scale(scale, x, dtype, "quantize")
    shift = check_zero_point(zero_point, x, codes, "quantize")
    return (x.detach().to(dtype).div(steps).round_().add_(shift)).clamp_(*codes).to(torch.int8)


def dequantize(
    q: Integer[Tensor, "*shape"], scale: float | Float[Tensor, "..."], zero_point: int | Int[Tensor, "..."]
) -> Float32[Tensor, "*shape"]:
    """Which real number does each code stand for?

    x = (q - zero_point) * scale

    q: any shape, integer codes; scale and zero_point: one number or tensors that broadcast against q. Result: float32,
    shape of q.

    Raises TypeError for q that is not an integer tensor or a zero_point that is not whole; ValueError for a scale that
    is not positive and finite, a zero_point outside -128..127, shapes that do not broadcast. Source: Jacob et al. 2018.

    >>> dequantize(torch.tensor([-28, 22], dtype=torch.int8), scale=0.5, zero_point=-28)
    tensor([ 0., 25.])
    """
    if not isinstance(q, Tensor) or q.is_floating_point() or q.is_complex() or q.dtype == torch.bool:
        raise TypeError(f"dequantize wants an integer tensor q, got {_kind(q)}; quantize first.")
    steps = check_scale(scale, q, torch.float32, "dequantize")
    shift = check_zero_point(zero_point, q, (-128, 127), "dequantize")
    return (q.to(torch.int32) - shift).to(torch.float32) * steps


def channel_qparams(weight: Float[Tensor, "out ..."], bits: int = 8, group: int | None = None) -> Float[Tensor, "out ..."]:
    """Which symmetric scale fits each output channel, or each group of `group` neighbouring weights in it?

    scale[o]    = max |weight[o]| / (2^(bits-1) - 1)                   without group
    scale[o, g] = the same over weight[o].flatten()[g*group : (g+1)*group]

    weight: [out, ...]; result: [out] or [out, in / group], in units of the weights. The zero point is 0. A channel of
    zeros gets 1.0.

    Raises TypeError for a weight that is not float; ValueError for an empty weight, NaN or infinity, a group that does
    not divide the weights of a channel, bits outside 2..8. Source: Krishnamoorthi 2018, "Quantizing deep convolutional
    networks for efficient inference".

    >>> channel_qparams(torch.tensor([[0.5, -12.7], [1.27, 0.0]]))
    tensor([0.1000, 0.0100])
    """
    _, top = code_range(bits, symmetric=True, caller="channel_qparams")
    granularity = PerChannel(0) if group is None else PerGroup(group)
    scale = _scales(_rows(weight, granularity, "channel_qparams"), top)
    return scale if group is None else scale.reshape(weight.shape[0], -1)


def _rows(weight: Tensor, granularity: Granularity, caller: str) -> Tensor:
    """The weight as [scales, weights that share the scale], checked."""
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        raise TypeError(f"{caller} wants a float tensor, got {_kind(weight)}; convert with .float().")
    if weight.numel() == 0 or weight.ndim == 0:
        raise ValueError(f"{caller} wants weights [out, ...], got {tuple(weight.shape)}; give it at least one.")
    if not torch.isfinite(weight).all():
        raise ValueError(f"{caller} wants finite weights, got NaN or infinity; check the training run that made them.")
    return _to_rows(weight.detach(), granularity, caller)


def _to_rows(values: Tensor, granularity: Granularity, caller: str) -> Tensor:
    if isinstance(granularity, PerTensor):
        return values.reshape(1, -1)
    if isinstance(granularity, PerChannel):
        if not -values.ndim <= granularity.axis < values.ndim:
            raise ValueError(f"{caller} wants an axis of {tuple(values.shape)}, got {granularity.axis}; 0 is `out`.")
        return values.movedim(granularity.axis, 0).flatten(1) if values.ndim > 1 else values.reshape(-1, 1)
    if not isinstance(granularity, PerGroup):
        raise TypeError(f"{caller} wants PerTensor(), PerChannel() or PerGroup(size), got {granularity!r}.")
    per_channel = values[0].numel()
    if per_channel % granularity.size:
        raise ValueError(
            f"{caller} wants a group that divides the {per_channel} weights of a channel, got {granularity.size}; "
            f"choose a divisor of {per_channel}."
        )
    return values.reshape(-1, granularity.size)


def _from_rows(rows: Tensor, shape: torch.Size, granularity: Granularity) -> Tensor:
    if isinstance(granularity, PerChannel) and len(shape) > 1:
        moved = torch.empty(shape, device="meta").movedim(granularity.axis, 0).shape
        return rows.reshape(moved).movedim(0, granularity.axis).contiguous()
    return rows.reshape(shape)


def _scales(rows: Tensor, top: int) -> Tensor:
    """max |row| / top, at least float32's smallest normal number; 1.0 for a row of zeros."""
    largest = rows.to(torch.promote_types(rows.dtype, torch.float32)).abs().amax(dim=1)
    return torch.where(largest == 0, 1.0, (largest / top).clamp_min(SMALLEST_SCALE))


def quantize_weight(
    weight: Float[Tensor, "*shape"], bits: int, granularity: Granularity
) -> tuple[Int8[Tensor, "*shape"], Float[Tensor, "..."]]:
    """The symmetric codes and the scales of a weight.

    codes = clamp(round(weight / scale), -top, top) with top = 2^(bits-1) - 1

    weight: any shape; codes: int8, same shape; scale: [] per tensor, [channels] per channel, [out, in / size] a group.

    Raises like `channel_qparams`, and ValueError for an axis that the weight does not have.
    Source: Krishnamoorthi 2018.

    >>> quantize_weight(torch.tensor([[0.5, -12.7], [1.27, 0.0]]), 8, PerChannel())[0]
    tensor([[   5, -127],
            [ 127,    0]], dtype=torch.int8)
    """
    _, top = code_range(bits, symmetric=True, caller="quantize_weight")
    rows = _rows(weight, granularity, "quantize_weight")
    scale = _scales(rows, top)
    codes = quantize(rows, scale[:, None], 0, bits).clamp_(-top, top)
    shape = {PerTensor: (), PerChannel: (-1,)}.get(type(granularity), (weight.shape[0], -1))
    return _from_rows(codes, weight.shape, granularity), scale.reshape(shape)


def dequantize_weight(
    codes: Int8[Tensor, "*shape"], scale: Float[Tensor, "..."], granularity: Granularity
) -> Float32[Tensor, "*shape"]:
    """Which weights do the codes of `quantize_weight` stand for? codes * scale, each code with the scale of its part.

    >>> dequantize_weight(torch.tensor([[5, -127]], dtype=torch.int8), torch.tensor([0.5]), PerChannel())
    tensor([[  2.5000, -63.5000]])
    """
    rows = _to_rows(codes, granularity, "dequantize_weight")
    if scale.numel() != len(rows):
        raise ValueError(
            f"dequantize_weight wants {len(rows)} scales for codes of shape {tuple(codes.shape)} and {granularity}, "
            f"got {scale.numel()}; use the scale that quantize_weight gave."
        )
    return _from_rows(dequantize(rows, scale.reshape(-1, 1), 0), codes.shape, granularity)


def fake_quantize_weight(weight: Float[Tensor, "*shape"], bits: int, granularity: Granularity) -> Float32[Tensor, "*shape"]:
    """A weight quantized to `bits` bits and dequantized at once: float32, same shape, few different values.

    Raises like `quantize_weight`.

    >>> fake_quantize_weight(torch.tensor([1.0, 0.4, -0.6]), 2, PerTensor())
    tensor([ 1.,  0., -1.])
    """
    codes, scale = quantize_weight(weight, bits, granularity)
    return dequantize_weight(codes, scale, granularity)
