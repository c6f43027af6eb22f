"""Cases and known mistakes of `int8_linear`: a linear layer with integer products and integer sums.

Conventions that the notebook states in the same words: acc = xq @ wq.T - x_zero * (sum of each row of wq), in int32 (int64 is right too);
y = acc * (x_scale * w_scale) + bias in float32; bias is real numbers [out], or None.

A product or a sum of codes in floats is a mistake even where its values are right; `Outcome.float_products` lists them. Values: acc is
exact, so float32 rounds three times; where the bias cancels the product the error is relative to the larger of the two: rtol 1e-5 and
2e-6 of the largest output.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import near, whole_products
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_linear(xq: Tensor, x_scale: float, x_zero: int, wq: Tensor, w_scale: Tensor, bias: Tensor | None = None) -> Tensor:
    acc = (xq.to(torch.int64) - x_zero) @ wq.to(torch.int64).T
    y = acc.float() * (x_scale * w_scale)
    return y if bias is None else y + bias


def _scales(draw: Draw, out: int) -> Tensor:
    """Scales that differ much from channel to channel."""
    return draw.uniform(0.5, 1.5, out) * torch.logspace(-3, -1, out)


def _case(draw: Draw, words: str, shape: tuple[int, int, int], x_zero: int, bias: bool = True) -> Case:
    """shape: n, in, out."""
    n, features, out = shape
    scale = draw.real(0.01, 0.2)
    # of the size of the outputs, so that a scaled or lost bias is noticed
    scales = _scales(draw, out)
    offset = (draw.normal(out) + 2) * scale * scales * 3000 if bias else None
    return Case(words, (draw.codes(-128, 127, n, features), scale, x_zero, draw.codes(-127, 127, out, features), scales, offset))


def _cancelling(draw: Draw) -> Case:
    """Partial sums above 2^25 and a small total: float32 cannot represent all of these sums, int32 can."""
    half = 2300
    x, w = draw.codes(110, 127, 3, half), draw.codes(115, 127, 2, half)
    rest = draw.codes(-3, 3, 3, 7)
    return Case(
        "sums beyond 2^24 that cancel",
        (torch.cat([x, x, rest], 1), 0.05, 0, torch.cat([w, -w, draw.codes(-9, 9, 2, 7)], 1), _scales(draw, 2), None),
    )


def _views(draw: Draw) -> Case:
    args = list(_case(draw, "", (4, 6, 3), draw.whole(-60, -1)).args)
    args[0], args[3] = strided(args[0]), args[3].T.contiguous().T
    return Case("views that are not contiguous", tuple(args))


def linear_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "int8_linear")
    side, x_zero = draw.whole(4, 7), draw.pick((draw.whole(-127, -20), draw.whole(20, 126)))
    lowest = torch.full((2, 1201), -128, dtype=torch.int8)
    ends = torch.cat([lowest, -1 - lowest])
    return [
        _case(draw, "as many inputs as outputs and rows", (side, side, side), x_zero),
        _case(draw, "an odd size", (side, 2 * side + 3, side + 1), x_zero),
        _case(draw, "no bias", (3, 9, 5), x_zero, bias=False),
        _case(draw, "zero point 0", (2, 33, side), 0),
        _case(draw, "the lowest zero point", (3, 17, 4), -128),
        _case(draw, "the highest zero point, no bias", (5, 8, 2), 127, bias=False),
        _case(draw, "a single row", (1, 12, side), x_zero),
        _case(draw, "one input", (4, 1, 3), x_zero, bias=False),
        _case(draw, "one output", (3, 11, 1), x_zero),
        Case("all codes at their ends", (ends, 0.02, draw.pick((-128, 127, 3)), ends[1:3], _scales(draw, 2), torch.ones(2))),
        _cancelling(draw),
        _views(draw),
        Case(
            "a row of zero weights", (draw.codes(-128, 127, 3, 5), 0.1, x_zero, torch.zeros(2, 5).to(torch.int8), torch.ones(2))
        ),
    ]


def linear_workload(seed: int) -> list[Case]:
    """The linear layers of the notebook's network, for many images and for one."""
    draw = Draw(seed, "linear workload")
    return [
        _case(draw, "the first linear layer, 60 images", (60, 864, 96), draw.whole(-128, -100)),
        _case(draw, "the last linear layer", (300, 96, 10), draw.whole(-128, -100)),
        _case(draw, "sums of 6,001 products, one image", (1, 6001, 7), draw.whole(20, 90), bias=False),
    ]


def _wrap(acc: Tensor, bits: int) -> Tensor:
    return (acc + 2 ** (bits - 1)).remainder(2**bits) - 2 ** (bits - 1)


def _wrong(mistake: str):
    """The right answer with one step changed."""

    def int8_linear(xq: Tensor, x_scale: float, x_zero: int, wq: Tensor, w_scale: Tensor, bias: Tensor | None = None):
        x, w = xq.long(), wq.long()
        square = len(x) == len(w) == x.shape[1]
        corrections = {
            "correction dropped": 0 * w.sum(1),
            "correction added": -x_zero * w.sum(1),
            "sums of x": x_zero * x.sum(1, keepdim=True),
            "columns of w": x_zero * w.sum(0 if square else 1),
            "once": x_zero,
        }
        acc = x @ w.T
        width = {"int8": 8, "int16": 16}.get(mistake, 32)
        acc = _wrap(acc, width) - corrections.get(mistake, x_zero * w.sum(1))
        scales = {
            "x scale forgotten": w_scale,
            "w scale forgotten": torch.full_like(w_scale, x_scale),
            "first w scale": x_scale * w_scale[0].expand_as(w_scale),
            "mean w scale": x_scale * w_scale.mean().expand_as(w_scale),
            "scaled along rows": x_scale * (w_scale[:, None] if square else w_scale),
        }
        scale = scales.get(mistake, x_scale * w_scale)
        offset = torch.zeros(()) if bias is None or mistake == "bias forgotten" else bias
        return (acc + offset) * scale if mistake == "bias scaled" else acc * scale + offset

    return int8_linear


def _dequantized(xq: Tensor, x_scale: float, x_zero: int, wq: Tensor, w_scale: Tensor, bias: Tensor | None = None):
    return torch.nn.functional.linear(
        (xq.double() - x_zero) * x_scale, wq.double() * w_scale[:, None], None if bias is None else bias.double()
    )


LINEAR_MISTAKES = (
    Mistake(
        "float matmul",
        "You converted codes to floats before the matrix product; multiply and add the int8 codes as int32, scale the sum once at the end.",
        _dequantized,
    ),
    Mistake(
        "accumulates in int8",
        "Your sums are int8 and wrap around at 127; convert the codes to int32 before the matrix product.",
        _wrong("int8"),
    ),
    Mistake(
        "accumulates in int16",
        "Your sums are int16; three products of codes can already exceed 32,767: convert to int32 before the matrix product.",
        _wrong("int16"),
    ),
    Mistake(
        "correction dropped",
        "The zero point of x is not corrected: every x code is x_zero too large, so subtract x_zero times the sum of each row of wq.",
        _wrong("correction dropped"),
    ),
    Mistake(
        "correction added",
        "You added the correction; (xq - x_zero) @ wq.T means that x_zero times the row sums is subtracted.",
        _wrong("correction added"),
    ),
    Mistake(
        "sums of x",
        "You corrected by the row sums of xq; x_zero multiplies the weights, so use the row sums of wq, one per output.",
        _wrong("sums of x"),
    ),
    Mistake(
        "columns of w",
        "You summed wq over its outputs; the sum runs over the inputs, axis 1, and gives one number per output.",
        _wrong("columns of w"),
    ),
    Mistake(
        "zero point once",
        "You subtracted x_zero once from the finished sum; it is in every product, so subtract x_zero times the row sums of wq.",
        _wrong("once"),
    ),
    Mistake(
        "bias scaled",
        "You added the bias before scaling; it is a real number, so add it after the multiplication by the scales.",
        _wrong("bias scaled"),
    ),
    Mistake("bias forgotten", "The bias is missing; add it at the end where there is one.", _wrong("bias forgotten")),
    Mistake(
        "x scale forgotten", "x_scale is missing: one unit of the sum is worth x_scale * w_scale.", _wrong("x scale forgotten")
    ),
    Mistake(
        "w scale forgotten", "w_scale is missing: one unit of the sum is worth x_scale * w_scale.", _wrong("w scale forgotten")
    ),
    Mistake(
        "one scale for all outputs",
        "You use one weight scale for all outputs; w_scale has one per output, so let it broadcast along the last axis.",
        _wrong("first w scale"),
    ),
    Mistake(
        "scaled along the rows",
        "You scaled the rows of the result (the examples); w_scale belongs to its columns, the outputs.",
        _wrong("scaled along rows"),
    ),
)


int8_linear = Exercise(
    name="int8_linear",
    unit="02_quantization",
    points=3,
    difficulty=4,
    minutes=15,
    oracle=right_linear,
    cases=linear_cases,
    mistakes=LINEAR_MISTAKES,
    workload=linear_workload,
    judge=whole_products(near(2e-6, rtol=1e-5, strict_dtype=True), "matrix product"),
    legal={"not contiguous": "how q lies in memory is free, and so it is for all results of this unit"},
    products=True,
    library="quantization:int8_linear",
)
