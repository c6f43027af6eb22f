"""Cases and known mistakes of `channels_last`: the filters in the order in which a small device reads a window.

Conventions that the notebook states in the same words:
- weight [out, c, kh, kw] of any dtype, result [out, kh * kw * c] of the same: entry (i * kw + j) * c + channel is weight[:, channel, i, j];
- the result is contiguous; where nothing moves, it may be a view of the weight.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided


def right_channels_last(weight: Tensor) -> Tensor:
    _, c, kh, kw = weight.shape
    columns = [weight[:, channel, i, j] for i in range(kh) for j in range(kw) for channel in range(c)]
    return torch.stack(columns, 1)


def channels_last_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "channels_last")
    out, c = draw.whole(3, 5), draw.whole(3, 4)
    return [
        Case("3 rows, 2 columns", (draw.codes(-128, 127, out, c, 3, 2),)),
        Case("2 rows, 5 columns, floats", (ladder(draw, out, c, 2, 5),)),
        Case("square filters", (draw.codes(-128, 127, out, c, 3, 3),)),
        Case("one input channel", (draw.codes(-128, 127, out, 1, 3, 2),)),
        Case("one filter", (draw.codes(-128, 127, 1, c, 2, 3),)),
        Case("filters of 1 x 1", (ladder(draw, out, c, 1, 1),)),
        Case("filters of one row", (draw.codes(-128, 127, out, c, 1, 4),)),
        Case("filters of one column", (draw.codes(-128, 127, out, c, 4, 1),)),
        Case("a view that is not contiguous", (strided(draw.codes(-128, 127, out, c, 3, 2)),)),
        Case("1 x 1, a view that is not contiguous", (ladder(draw, out, 1, 1, 2 * c)[..., ::2].permute(0, 3, 1, 2),)),
        Case("torch's own channels-last format", (ladder(draw, out, c, 2, 3).contiguous(memory_format=torch.channels_last),)),
        Case("int64, by name", (), {"weight": draw.codes(-128, 127, out, c, 2, 3).long() * 1000}),
    ]


def channels_last_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "layers at work")
    return [
        Case("the third layer of fashion_cnn", (draw.codes(-127, 127, 96, 48, 3, 3),)),
        Case("64 rows for an image of 96 x 3 x 3, in floats", (ladder(draw, 64, 96, 3, 3),)),
    ]


def _dot_products_are_torch_s(call: Call, seed: int) -> str | None:
    """A row times a window whose pixels keep their channels side by side is the convolution."""
    draw = Draw(seed, "channels_last law")
    weight, window = draw.codes(-9, 9, 4, 3, 2, 5), draw.codes(-9, 9, 3, 2, 5)
    want = F.conv2d(window[None].double(), weight.double())[0, :, 0, 0]
    rows = call(weight)
    got = rows.double() @ window.permute(1, 2, 0).flatten().double()
    return None if torch.equal(got, want) else "the rows times a window are not torch's convolution."


def _order(*axes: int) -> Callable[[Tensor], Tensor]:
    """Another order of the axes, flattened behind the first."""
    return lambda weight: weight.permute(*axes).flatten(1).contiguous()


CHANNELS_LAST_MISTAKES = (
    Mistake(
        "reshaped only",
        "You flatten without moving the channels, so they are still the slowest axis; permute first.",
        _order(0, 1, 2, 3),
    ),
    Mistake(
        "rows and columns swapped",
        "Your order is column, row, channel; a window is read row by row, so the order is row, column, channel.",
        _order(0, 3, 2, 1),
    ),
    Mistake(
        "channels between",
        "Your order is row, channel, column; the channels of one pixel lie side by side, so they come last.",
        _order(0, 2, 1, 3),
    ),
    Mistake(
        "channels still first, columns before rows",
        "You swap rows and columns and leave the channels first; move the channels to the end.",
        _order(0, 1, 3, 2),
    ),
    Mistake(
        "column, channel, row",
        "Your order is column, channel, row; it is row, column, channel.",
        _order(0, 3, 1, 2),
    ),
    Mistake(
        "read as channels last",
        "You reshape the weight to [out, kh, kw, c], which renames the axes and moves nothing; use permute.",
        lambda weight: (
            weight.reshape(len(weight), *weight.shape[2:], weight.shape[1]).permute(0, 3, 1, 2).flatten(1).contiguous()
        ),
    ),
    Mistake(
        "filters last",
        "Your result is [kh * kw * c, out]; each filter is one row, so `out` stays the first axis.",
        lambda weight: right_channels_last(weight).T.contiguous(),
    ),
    Mistake(
        "four axes",
        "Your result still has four axes, [out, kh, kw, c]; flatten all but the first.",
        lambda weight: weight.permute(0, 2, 3, 1).contiguous(),
    ),
    Mistake(
        "one long row",
        "Your result has one axis; keep a row for each filter, [out, kh * kw * c].",
        lambda weight: weight.permute(0, 2, 3, 1).flatten(),
    ),
    Mistake(
        "turned around",
        "You turn the filters upside down; the sum in torch is no mathematical convolution, so nothing is flipped.",
        lambda weight: right_channels_last(weight.flip(2, 3)),
    ),
)

channels_last = Exercise(
    name="channels_last",
    unit="08_deployment",
    points=2,
    difficulty=2,
    minutes=7,
    oracle=right_channels_last,
    cases=channels_last_cases,
    workload=channels_last_workload,
    mistakes=CHANNELS_LAST_MISTAKES,
    judge=close(strict_dtype=True),
    laws=(Law("dot products are torch's", _dot_products_are_torch_s),),
    free={"returns memory of": "where nothing moves, it may be a view of the weight"},
    strict={"(contiguous)": "The result is contiguous"},
    library="deployment.layouts:channels_last",
)
