"""Cases and known mistakes of `quantize`: from real numbers to codes.

Conventions that the notebook states in the same words: x / scale is rounded to nearest, ties to even, then the zero point is added, then
clamped to the codes of `bits` bits; the result is int8 for any number of bits; numbers outside the range, infinity too, get the outermost code.

Cases keep x / scale away from ties by 0.03 and from the ends of the codes, except where the scale is a power of two: there division,
multiplication by 1 / scale, float32 and float64 are all exact. Exact ties come with odd zero points, where rounding before and after the
zero point differ.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def ends(bits: int) -> tuple[int, int]:
    """Lowest and highest code."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def right_quantize(x: Tensor, scale: float, zero_point: int, bits: int = 8) -> Tensor:
    return ((x / scale).round() + zero_point).clamp(*ends(bits)).to(torch.int8)


def numbers(draw: Draw, scale: float, zero_point: int, bits: int, *shape: int) -> Tensor:
    """Numbers from below the lowest code to above the highest, none near a tie."""
    reach = 2 ** (bits - 1) + 9
    steps = torch.randint(-reach, reach, shape, generator=draw.generator) - zero_point
    offset = draw.uniform(0.02, 0.47, *shape) * (2 * draw.codes(0, 1, *shape) - 1)
    return ((steps + offset).double() * scale).float()


def around(draw: Draw, bits: int) -> tuple[float, int]:
    """A scale and a zero point that is not 0."""
    qmin, qmax = ends(bits)
    return draw.real(0.5, 2.0) * draw.pick((0.001, 0.05, 4.0)), draw.pick((draw.whole(qmin, -1), draw.whole(1, qmax)))


def _ties(draw: Draw) -> Case:
    """k + 1/2 for even and odd k of both signs, with a scale that is a power of two."""
    scale = draw.pick((0.125, 0.25, 0.5, 2.0))
    k = torch.arange(-9, 9) + draw.whole(-6, 6)
    return Case("exact ties, which go to the even code", ((k + 0.5) * scale, scale, draw.pick((-5, -1, 3, 7))))


def quantize_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "quantize")
    scale, zero_point = around(draw, 8)
    bits, fine = draw.whole(2, 7), draw.real(0.021, 0.079)
    small_scale, small_zero = around(draw, bits)
    whole = torch.arange(-140, 140) * 0.25
    far = torch.tensor([1e4, -1e4, 300.0, -300.0, 129.0, 200.0]) * scale
    infinite = torch.tensor([float("inf"), float("-inf"), 0.0])
    return [
        Case("numbers in and outside the range", (numbers(draw, scale, zero_point, 8, 60), scale, zero_point)),
        Case("positive and negative numbers, zero point 0", (numbers(draw, 0.1, 0, 8, 5, 7), 0.1, 0)),
        _ties(draw),
        Case("a negative zero point", (numbers(draw, fine, -100, 8, 31), fine, -100)),
        Case("a positive zero point", (numbers(draw, 100 * fine, 90, 8, 31), 100 * fine, 90)),
        Case("every code, and numbers beyond both ends", (whole, 0.25, draw.pick((-2, 0, 2)))),
        Case("far outside the range", (far, scale, draw.whole(-9, 9))),
        Case(f"{bits} bits", (numbers(draw, small_scale, small_zero, bits, 41), small_scale, small_zero, bits)),
        Case("2 bits, by name", (numbers(draw, 0.5, 0, 2, 23), 0.5, 0), {"bits": 2}),
        Case("a view that is not contiguous", (strided(numbers(draw, 0.2, 3, 4, 3, 5)), 0.2, 3, 4)),
        Case("a transposed view", (numbers(draw, 0.2, -5, 8, 3, 4, 2).mT, 0.2, -5)),
        Case("a single number without axes", (numbers(draw, 0.2, 1, 8), 0.2, 1)),
        Case("an empty tensor", (torch.zeros(0, 3), 0.1, 0)),
        Case("a constant tensor", (torch.full((4,), 9.7), 0.1, -30)),
        Case("infinity, which saturates", (infinite, 0.1, draw.whole(-20, 20))),
    ]


def near_ties(draw: Draw, scale: float, bits: int = 8) -> Tensor:
    """Numbers 2^-11 of a step below and above k + 1/2, for each code k: exact in float32 with a scale that is a power of two, not in 16 bits."""
    k = torch.arange(*ends(bits)) + 0.5
    return torch.cat([k - 2.0**-11, k + 2.0**-11])[torch.randperm(2 * len(k), generator=draw.generator)] * scale


def quantize_workload(seed: int) -> list[Case]:
    """Activations of many images, with outliers of up to 1e15 steps, and numbers that only their last digits separate from ties."""
    draw = Draw(seed, "quantize workload")
    scale = draw.pick((0.0371, 0.0118, 1e-7, 2500.0))
    x = numbers(draw, scale, 5, 8, 96, 130)
    x[draw.whole(0, 9), :24] = torch.logspace(4, 15, 24) * scale * (2 * draw.codes(0, 1, 24) - 1)
    power = draw.pick((2.0**-6, 2.0**-3, 4.0))
    closer = (torch.arange(-40, 40).double() + 0.5 + 2.0**-40 * (2 * draw.codes(0, 1, 80) - 1)) * power
    return [
        Case("activations of many images, with outliers", (x, scale, 5)),
        Case("numbers close to ties", (near_ties(draw, power), power, draw.whole(-3, 3))),
        Case("float64 numbers, closer to ties than float32 can tell", (closer, power, draw.whole(-3, 3))),
    ]


def _codes(x: Tensor, zero_point: int, bits: int) -> Tensor:
    return (x + zero_point).clamp(*ends(bits)).to(torch.int8)


def _wrapped(codes: Tensor, bits: int) -> Tensor:
    """What remains of a code when only its lowest `bits` bits are kept, infinity as 0."""
    span = 2**bits
    return ((codes.nan_to_num(0, 0, 0) + span // 2).remainder(span) - span // 2).to(torch.int8)


def _away_from_zero(x: Tensor) -> Tensor:
    return x.sign() * (x.abs() + 0.5).floor()


QUANTIZE_MISTAKES = (
    Mistake(
        "truncation",
        "You cut off the fraction instead of rounding to the nearest code: 2.6 becomes 2 (and converting to int8 cuts it off too).",
        lambda x, scale, zero_point, bits=8: _codes((x / scale).trunc(), zero_point, bits),
    ),
    Mistake(
        "floor",
        "You always round down, which is half a step too low on average; round to the nearest code.",
        lambda x, scale, zero_point, bits=8: _codes((x / scale).floor(), zero_point, bits),
    ),
    Mistake(
        "half up",
        "floor(x + 0.5) rounds every tie up; round ties to the even code, as torch.round does, so that they cancel on average.",
        lambda x, scale, zero_point, bits=8: _codes((x / scale + 0.5).floor(), zero_point, bits),
    ),
    Mistake(
        "half away from zero",
        "You round ties away from zero, as in school; round them to the even code, as torch.round does.",
        lambda x, scale, zero_point, bits=8: _codes(_away_from_zero(x / scale), zero_point, bits),
    ),
    Mistake(
        "wraps around",
        "Numbers outside the range wrap around to the other end; clamp to [qmin, qmax] before you convert to int8.",
        lambda x, scale, zero_point, bits=8: _wrapped((x / scale).round() + zero_point, 8),
    ),
    Mistake(
        "zero point before rounding",
        "You added the zero point before rounding; with an odd one ties are rounded the other way: round x / scale first, then add.",
        lambda x, scale, zero_point, bits=8: _codes((x / scale + zero_point).round(), 0, bits),
    ),
    Mistake(
        "zero point before scaling",
        "You added the zero point to x before dividing; it is a code, so it is added after the division by the scale.",
        lambda x, scale, zero_point, bits=8: _codes(((x + zero_point) / scale).round(), 0, bits),
    ),
    Mistake(
        "zero point subtracted",
        "You subtracted the zero point; it is the code of 0.0, so it is added here (and subtracted in dequantize).",
        lambda x, scale, zero_point, bits=8: _codes((x / scale).round(), -zero_point, bits),
    ),
    Mistake(
        "zero point forgotten",
        "The zero point is missing: 0.0 must get the code zero_point.",
        lambda x, scale, zero_point, bits=8: _codes((x / scale).round(), 0, bits),
    ),
    Mistake(
        "clamped before the zero point",
        "You clamp first and add the zero point after, so codes can be outside the range again; clamp last.",
        lambda x, scale, zero_point, bits=8: _wrapped((x / scale).round().clamp(*ends(bits)) + zero_point, 8),
    ),
    Mistake(
        "bits ignored",
        "You always clamp to [-128, 127]; with `bits` bits the codes end at -2^(bits-1) and 2^(bits-1) - 1.",
        lambda x, scale, zero_point, bits=8: right_quantize(x, scale, zero_point, 8),
    ),
    Mistake(
        "lowest code left out",
        "You never use the lowest code; only symmetric codes leave it out, these go down to -2^(bits-1).",
        lambda x, scale, zero_point, bits=8: right_quantize(x, scale, zero_point, bits).clamp(min=-(2 ** (bits - 1)) + 1),
    ),
    Mistake(
        "multiplied by the scale",
        "You multiplied by the scale; the code counts steps, so divide by the size of a step.",
        lambda x, scale, zero_point, bits=8: right_quantize(x, 1 / scale, zero_point, bits),
    ),
    Mistake(
        "still floats",
        "Your codes are whole numbers but still floats; convert them: .to(torch.int8).",
        lambda x, scale, zero_point, bits=8: right_quantize(x, scale, zero_point, bits).float(),
    ),
)


quantize = Exercise(
    name="quantize",
    unit="02_quantization",
    points=2,
    difficulty=1,
    minutes=8,
    oracle=right_quantize,
    cases=quantize_cases,
    mistakes=QUANTIZE_MISTAKES,
    workload=quantize_workload,
    legal={"not contiguous": "how q lies in memory is free, and so it is for all results of this unit"},
    library="quantization:quantize",
)
