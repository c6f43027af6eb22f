"""Cases and known mistakes of `dequantize`: from codes back to real numbers.

The notebook asks for float32 and no other dtype; codes may have any integer dtype.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import near
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.quantization.quantize import around


def right_dequantize(q: Tensor, scale: float, zero_point: int) -> Tensor:
    return (q.to(torch.int64) - zero_point).to(torch.float32) * scale


def dequantize_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "dequantize")
    scale, zero_point = around(draw, 8)
    every = torch.arange(-128, 128).to(torch.int8)
    return [
        Case("every code", (every, scale, zero_point)),
        Case("the lowest zero point", (every[::3], draw.real(0.01, 0.3), -128)),
        Case("the highest zero point", (every[1::3], draw.real(2.0, 9.0), 127)),
        Case("zero point 0", (draw.codes(-127, 127, 9, 4), draw.real(0.01, 0.2), 0)),
        Case("4-bit codes", (draw.codes(-8, 7, 7, 3), draw.real(0.1, 0.5), draw.pick((-8, -3, 5, 7)))),
        Case("a view that is not contiguous", (strided(draw.codes(-128, 127, 3, 5)), 0.7, draw.whole(1, 60))),
        Case("a transposed view", (draw.codes(-128, 127, 4, 6).T, 0.07, -draw.whole(1, 60))),
        Case("a single code without axes", (draw.codes(-128, 90), 0.25, 100)),
        Case("an empty tensor", (every[:0], 0.1, 3)),
        Case("codes that equal the zero point, and one more", (torch.tensor([-17, -17, 3]).to(torch.int8), scale, -17)),
        Case("a very small scale", (draw.codes(-128, 127, 12), 3e-7, draw.whole(1, 100))),
    ]


def _sums(draw: Draw, low: int, high: int, dtype: torch.dtype) -> Tensor:
    return torch.randint(low, high, (17, 9), generator=draw.generator).to(dtype)


def dequantize_workload(seed: int) -> list[Case]:
    """The codes of a convolution's weight, and codes of other integer dtypes."""
    draw = Draw(seed, "dequantize workload")
    return [
        Case("the codes of a convolution's weight", (draw.codes(-128, 127, 64, 64, 3, 3), 0.0371, draw.whole(-90, 90))),
        Case("uint8 codes", (_sums(draw, 0, 256, torch.uint8), 0.0371, draw.whole(50, 127))),
        Case("int16 codes", (_sums(draw, -(2**15), 2**15, torch.int16), 2e-4, draw.whole(50, 127))),
        Case("int32 codes, sums of a layer", (_sums(draw, -(10**7), 10**7, torch.int32), 3e-5, 0)),
        Case("int64 codes", (_sums(draw, -200, 200, torch.int64), draw.real(0.01, 0.3), draw.whole(-90, -1))),
    ]


DEQUANTIZE_MISTAKES = (
    Mistake(
        "subtraction in int8",
        "q - zero_point does not fit into int8 and wraps around: 100 - (-100) becomes -56; convert q to a wider type first.",
        lambda q, scale, zero_point: (q - zero_point).float() * scale,
    ),
    Mistake(
        "zero point forgotten",
        "The zero point is missing: the code zero_point stands for 0.0, so subtract it first.",
        lambda q, scale, zero_point: q.float() * scale,
    ),
    Mistake(
        "zero point added",
        "You added the zero point; quantize added it, so subtract it here.",
        lambda q, scale, zero_point: (q.float() + zero_point) * scale,
    ),
    Mistake(
        "zero point after scaling",
        "You subtracted the zero point after scaling; it is a code, so subtract it from q before you multiply by the scale.",
        lambda q, scale, zero_point: q.float() * scale - zero_point,
    ),
    Mistake(
        "sign",
        "The sign is wrong: codes above the zero point stand for positive numbers, q - zero_point.",
        lambda q, scale, zero_point: (zero_point - q.float()) * scale,
    ),
    Mistake(
        "divided by the scale",
        "You divided by the scale; quantize divides, so multiply here.",
        lambda q, scale, zero_point: (q.float() - zero_point) / scale,
    ),
    Mistake(
        "back to whole numbers",
        "You converted the result to whole numbers; codes stand for real numbers, so return float32.",
        lambda q, scale, zero_point: right_dequantize(q, scale, zero_point).to(torch.int32),
    ),
    Mistake(
        "rounded",
        "You rounded the result; only codes are whole numbers, so return the real numbers as they are.",
        lambda q, scale, zero_point: right_dequantize(q, scale, zero_point).round(),
    ),
    Mistake(
        "double precision",
        "You return float64, twice the bytes; convert q to float32 and the result is float32.",
        lambda q, scale, zero_point: right_dequantize(q, scale, zero_point).double(),
    ),
    Mistake(
        "half precision",
        "You return float16, which has 11 bits of precision and ends at 65504; return float32.",
        lambda q, scale, zero_point: right_dequantize(q, scale, zero_point).half(),
    ),
)


# q * scale - zero_point * scale is right too; its error is at most 2^-23 of the largest product
dequantize = Exercise(
    name="dequantize",
    unit="02_quantization",
    points=1,
    difficulty=1,
    minutes=4,
    oracle=right_dequantize,
    cases=dequantize_cases,
    mistakes=DEQUANTIZE_MISTAKES,
    workload=dequantize_workload,
    judge=near(1e-06, strict_dtype=True),
    legal={"not contiguous": "how q lies in memory is free, and so it is for all results of this unit"},
    library="quantization:dequantize",
)
