"""Cases and known mistakes of `affine_qparams` and `channel_qparams`: which grid of codes fits a range of numbers?

Conventions that the notebook states in the same words:
- codes of b bits: -2^(b-1) ... 2^(b-1) - 1; symmetric: zero point 0 and codes +-(2^(b-1) - 1);
- the range is first widened to hold 0; a range of zero width at 0 gives scale 1.0 and zero point 0;
- channel_qparams: symmetric; groups are neighbours in weight[o].flatten(); a channel or group of zeros gets the scale 1.0.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake

Params = tuple[float, int]


def _ends(bits: int) -> tuple[int, int]:
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def right_affine(low: float, high: float, bits: int = 8, symmetric: bool = False) -> Params:
    qmin, qmax = _ends(bits)
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    if symmetric:
        return max(-low, high) / qmax, 0
    scale = (high - low) / (qmax - qmin)
    return scale, round(qmin - low / scale)


def _range_around_zero(draw: Draw, bits: int, fraction: float) -> tuple[float, float]:
    """A range whose exact zero point is a code plus `fraction`: far from ties, so that all orders of rounding agree."""
    steps = 2**bits - 1
    below = draw.whole(1, steps - 2) + 1 - fraction
    scale = draw.real(0.5, 2.0) * draw.pick((0.001, 0.02, 0.7, 30.0))
    return -below * scale, (steps - below) * scale


def affine_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "affine_qparams")
    size = draw.real(0.2, 9.0)
    low, high = _range_around_zero(draw, 8, draw.real(0.55, 0.9))
    bits = draw.whole(2, 7)
    return [
        Case("a range around zero", (low, high)),
        Case("zero point a little above a whole number", _range_around_zero(draw, 8, draw.real(0.1, 0.45))),
        Case("a positive range that leaves out zero", (size, size * draw.real(1.5, 4.0))),
        Case("a negative range that leaves out zero", (-size * draw.real(1.5, 4.0), -size)),
        Case(f"{bits} bits", (*_range_around_zero(draw, bits, draw.real(0.55, 0.9)), bits)),
        Case("3 bits, by name", _range_around_zero(draw, 3, 0.3), {"bits": 3}),
        Case("from zero upwards, as after a ReLU", (0.0, size)),
        Case("from zero downwards", (-size, 0.0)),
        Case("a constant tensor", (size, size)),
        Case("a constant negative tensor", (-size, -size, bits)),
        Case("a tensor of zeros", (0.0, 0.0)),
        Case("symmetric, positive end larger", (-size, size * draw.real(1.2, 3.0), 8, True)),
        Case("symmetric, negative end larger", (-size * draw.real(1.2, 3.0), size, bits, True)),
        Case("symmetric, only positive numbers, by name", (size / 2, size), {"symmetric": True}),
        Case("symmetric, zeros", (0.0, 0.0, 8, True)),
        Case("a very narrow range", (-size * 2.3e-4, size * 1e-4, 8)),
    ]


def _variant(low: float, high: float, bits: int, symmetric: bool, **change: object) -> Params:
    """The right answer with one step changed."""
    qmin, qmax = _ends(bits)
    if change.get("widen", True):
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high or (symmetric and not max(-low, high)):
        return 1.0, 0
    if symmetric:
        span = high - low if change.get("span") else 2 * max(-low, high)
        return span / 2 / (qmax + float(bool(change.get("lowest")))), 0
    scale = (high - low) / (qmax - qmin + int(bool(change.get("one_more"))))
    position = qmin + low / scale if change.get("sign") else qmin - low / scale
    zero_point = int(position) if change.get("truncate") else round(position)
    zero_point -= qmin if change.get("unsigned") else 0
    return scale, max(qmin, min(qmax, zero_point)) if change.get("clamp") else zero_point


AFFINE_MISTAKES = (
    Mistake(
        "range without zero",
        "Your range does not always hold 0, so zero gets no code: widen it first, low = min(low, 0), high = max(high, 0).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, widen=False),
    ),
    Mistake(
        "zero point clamped instead",
        "Clamping the zero point afterwards moves the whole range; widen the range to hold 0 first, then it never needs clamping.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, widen=False, clamp=True),
    ),
    Mistake(
        "2^bits steps",
        "2^bits codes have 2^bits - 1 steps between them, as five fingers have four gaps: divide by qmax - qmin.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, one_more=True),
    ),
    Mistake(
        "sign of the zero point",
        "The sign is wrong: low must land on the code qmin, so zero_point = qmin - low / scale.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, sign=True),
    ),
    Mistake(
        "unsigned codes",
        "Your zero point is for codes 0 ... 2^bits - 1; ours are signed and begin at qmin = -2^(bits-1).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, unsigned=True),
    ),
    Mistake(
        "zero point truncated",
        "int() cuts the zero point towards zero; round it, or low and high end up to a whole step away from their codes.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, truncate=True),
    ),
    Mistake(
        "bits ignored",
        "You always use 256 codes; `bits` says how many there are.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, 8, symmetric),
    ),
    Mistake(
        "symmetric ignored",
        "`symmetric` changes nothing in your function; symmetric codes have zero point 0 and the same scale on both sides.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, False),
    ),
    Mistake(
        "symmetric with the lowest code",
        "Symmetric codes leave out the lowest one: they end at +-(2^(bits-1) - 1), so divide by that and not by 2^(bits-1).",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, lowest=True),
    ),
    Mistake(
        "symmetric from the span",
        "Symmetric codes must reach the end that is farther from zero, max(-low, high); half the span cuts that end off.",
        lambda low, high, bits=8, symmetric=False: _variant(low, high, bits, symmetric, span=True),
    ),
    Mistake(
        "tiny scale for zeros",
        "For a tensor of zeros any scale works but a tiny one overflows later; the convention here is scale 1.0 and zero point 0.",
        lambda low, high, bits=8, symmetric=False: right_affine(low, high, bits, symmetric) if low or high else (1e-8, 0),
    ),
)


def right_channel(weight: Tensor, bits: int = 8, group: int | None = None) -> Tensor:
    rows = weight.reshape(weight.shape[0], -1)
    largest = rows.reshape(len(rows), -1, group or rows.shape[1]).abs().amax(2)
    scale = torch.where(largest == 0, 1.0, largest / (2 ** (bits - 1) - 1))
    return scale[:, 0] if group is None else scale


def _weight(draw: Draw, *shape: int) -> Tensor:
    """Channels of very different size; in each the largest magnitude is negative."""
    weight = draw.normal(*shape) * torch.logspace(-2, 1, shape[0]).reshape(-1, *(1 for _ in shape[1:]))
    flat = weight.flatten(1)
    position = draw.whole(0, flat.shape[1] - 1)
    flat[:, position] = -1.25 * flat.abs().amax(1)
    return weight


def _with_zero_channel(weight: Tensor, channel: int) -> Tensor:
    weight[channel] = 0
    return weight


def channel_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "channel_qparams")
    side, group, bits = draw.whole(4, 7), draw.pick((2, 4)), draw.whole(2, 7)
    dead = _with_zero_channel(_weight(draw, 5, 8), draw.whole(0, 4))
    half_dead = _weight(draw, 3, 8)
    half_dead[draw.whole(0, 2), 4:] = 0
    return [
        Case("as many inputs as outputs", (_weight(draw, side, side),)),
        Case("an odd size", (_weight(draw, side, side + 3),)),
        Case("a convolution's kernel", (_weight(draw, side, 3, 3, 2),)),
        Case("a depthwise convolution's kernel", (_weight(draw, side, 1, 3, 3),)),
        Case(f"{bits} bits", (_weight(draw, 3, side), bits)),
        Case("a view that is not contiguous", (strided(_weight(draw, 4, 6)), 8)),
        Case("a transposed view", (_weight(draw, 6, 4).T, draw.pick((2, 3)))),
        Case("one input per output", (_weight(draw, side, 1), bits)),
        Case("a single output", (_weight(draw, 1, side),)),
        Case("a channel of zeros", (dead,)),
        Case("groups", (_weight(draw, side, 3 * group), 4, group)),
        Case("groups over a kernel's flattened weights", (_weight(draw, 3, 4, 2, 2), bits, group)),
        Case("one group per channel, group by name", (_weight(draw, 3, 6),), {"bits": 4, "group": 6}),
        Case("a group of one weight", (_weight(draw, 2, 5), 8, 1)),
        Case("a group of zeros", (half_dead, 8, 4)),
    ]


def _top(bits: int) -> int:
    return 2 ** (bits - 1) - 1


def _safe(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 1.0, scale)


def _grouped(weight: Tensor, group: int | None) -> Tensor:
    """[out, groups, weights of a group]; without `group` one group."""
    rows = weight.reshape(weight.shape[0], -1)
    return rows.reshape(len(rows), -1, group or rows.shape[1])


def _shaped(scale: Tensor, group: int | None) -> Tensor:
    return scale[:, 0] if group is None else scale


def _axis_swapped(weight: Tensor, bits: int = 8, group: int | None = None) -> Tensor:
    if group is not None:
        return right_channel(weight, bits, group)
    return _safe(weight.abs().amax([0, *range(2, weight.ndim)]) / _top(bits))


CHANNEL_MISTAKES = (
    Mistake(
        "axis swapped",
        "You took the maximum over the outputs, one scale per input; weight is [out, in], so reduce over everything but axis 0.",
        _axis_swapped,
    ),
    Mistake(
        "one scale for all",
        "All your channels share one scale; the point is that a small channel gets a finer grid of its own.",
        lambda weight, bits=8, group=None: torch.full_like(right_channel(weight, bits, group), weight.abs().max() / _top(bits)),
    ),
    Mistake(
        "sign forgotten",
        "You took the largest weight, not the largest magnitude; large negative weights fall off the grid (use abs).",
        lambda weight, bits=8, group=None: _shaped(_safe(_grouped(weight, group).amax(2) / _top(bits)), group),
    ),
    Mistake(
        "lowest code included",
        "Symmetric codes end at +-(2^(bits-1) - 1); you divided by 2^(bits-1), and the largest weight has no code.",
        lambda weight, bits=8, group=None: _shaped(_safe(_grouped(weight, group).abs().amax(2) / (_top(bits) + 1)), group),
    ),
    Mistake(
        "half the span",
        "You used max - min as for asymmetric codes; with zero point 0 the grid must reach the largest magnitude.",
        lambda weight, bits=8, group=None: _shaped(
            _safe((_grouped(weight, group).amax(2) - _grouped(weight, group).amin(2)) / (2 * _top(bits))), group
        ),
    ),
    Mistake(
        "bits ignored",
        "You always divide by 127; with `bits` bits the largest code is 2^(bits-1) - 1.",
        lambda weight, bits=8, group=None: right_channel(weight, 8, group),
    ),
    Mistake(
        "group ignored",
        "`group` changes nothing in your function; each run of `group` neighbouring weights gets a scale of its own.",
        lambda weight, bits=8, group=None: right_channel(weight, bits),
    ),
    Mistake(
        "groups of distant weights",
        "Your groups take every so-many-th weight; a group is `group` neighbours: reshape to [out, -1, group], reduce the last axis.",
        lambda weight, bits=8, group=None: (
            right_channel(weight, bits)
            if group is None
            else _safe(weight.reshape(len(weight), group, -1).abs().amax(1) / _top(bits))
        ),
    ),
    Mistake(
        "zero scale",
        "A channel of zeros gets the scale 0 from you, and dividing by it gives NaN; use 1.0 there.",
        lambda weight, bits=8, group=None: _shaped(_grouped(weight, group).abs().amax(2) / _top(bits), group),
    ),
    Mistake(
        "axis kept",
        "Your scale keeps axes of size 1 (keepdim); the shape wanted is [out], or [out, in / group] with groups.",
        lambda weight, bits=8, group=None: (
            right_channel(weight, bits)[:, None] if group is None else right_channel(weight, bits, group)[..., None]
        ),
    ),
)
