"""Cases and known mistakes of `channel_qparams`: a scale for each output channel, or for each group of weights.

Conventions that the notebook states in the same words: symmetric, with codes +-(2^(b-1) - 1); groups are neighbours in
weight[o].flatten(); a channel or group of zeros gets the scale 1.0.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import by_precision, close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided


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


def channel_workload(seed: int) -> list[Case]:
    """Weights of the size and memory format of the notebook's network, in groups of 24, and weights far from 1."""
    draw = Draw(seed, "channel workload")
    kernels = draw.normal(96, 48, 3, 3).to(memory_format=torch.channels_last)
    tiny = _weight(draw, 7, 11) * 1e-12
    return [
        Case("a channels-last convolution's kernel", (kernels, 4)),
        Case("groups of 24 in long rows", (ladder(draw, 12, 3456), draw.pick((3, 4)), 24)),
        Case("a large linear layer", (ladder(draw, 10, 3456),)),
        Case("weights of less than a billionth", (tiny, 8)),
        Case("float64 weights in the thousands", (_weight(draw, 5, 6).double() * 4000, 8, 3)),
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
        "All your channels share one scale; give each its own, so that channels of small weights get smaller steps.",
        lambda weight, bits=8, group=None: torch.full_like(right_channel(weight, bits, group), weight.abs().max() / _top(bits)),
    ),
    Mistake(
        "sign forgotten",
        "You took the largest weight, not the largest magnitude; large negative weights are clipped: use abs().",
        lambda weight, bits=8, group=None: _shaped(_safe(_grouped(weight, group).amax(2) / _top(bits)), group),
    ),
    Mistake(
        "lowest code included",
        "Symmetric codes end at +-(2^(bits-1) - 1); you divided by 2^(bits-1), so the largest weight has no code.",
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
        "`group` changes nothing in your function; each `group` neighbouring weights get a scale of their own.",
        lambda weight, bits=8, group=None: right_channel(weight, bits),
    ),
    Mistake(
        "groups of distant weights",
        "Your groups are weights that are not neighbours; a group is `group` neighbours: reshape to [out, -1, group], reduce the last axis.",
        lambda weight, bits=8, group=None: (
            right_channel(weight, bits)
            if group is None
            else _safe(weight.reshape(len(weight), group, -1).abs().amax(1) / _top(bits))
        ),
    ),
    Mistake(
        "zero scale",
        "Your scale of a channel of zeros is 0, and dividing by it gives NaN; use 1.0 there.",
        lambda weight, bits=8, group=None: _shaped(_grouped(weight, group).abs().amax(2) / _top(bits), group),
    ),
    Mistake(
        "axis kept",
        "Your scale keeps axes of size 1 (keepdim); return the shape [out], or [out, in / group] with groups.",
        lambda weight, bits=8, group=None: (
            right_channel(weight, bits)[:, None] if group is None else right_channel(weight, bits, group)[..., None]
        ),
    ),
)


channel_qparams = Exercise(
    name="channel_qparams",
    unit="02_quantization",
    points=2,
    difficulty=2,
    minutes=10,
    oracle=right_channel,
    cases=channel_cases,
    mistakes=CHANNEL_MISTAKES,
    judge=by_precision(close(1e-06, 0.0, strict_dtype=True), close(1e-12, 0.0, strict_dtype=True)),
    workload=channel_workload,
    legal={"not contiguous": "how q lies in memory is free, and so it is for all results of this unit"},
    library="quantization:channel_qparams",
)
