"""Cases and known mistakes of `pixel_table`: which code has each pixel from 0 to 255?

Conventions that the notebook states in the same words:
- table[v] = clamp(round(v / 255 / scale) + zero_point, -2^(bits-1), 2^(bits-1) - 1); int8, 256 entries;
- bits is from 2 to 8, the zero point one of the codes.

Every quotient is 1e-3 or more away from a tie, so that float32 and float64 round it to the same code.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw


def _quotient(v: int, scale: float) -> float:
    return v / 255 / scale


def right_pixel_table(scale: float, zero_point: int, bits: int = 8) -> Tensor:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    codes = [min(max(round(_quotient(v, scale)) + zero_point, low), high) for v in range(256)]
    return torch.tensor(codes, dtype=torch.int8)


def _scale(draw: Draw, low: float, high: float) -> float:
    """A scale for which no quotient is close to a tie."""
    while True:
        scale = draw.real(low, high)
        if all(abs(_quotient(v, scale) % 1 - 0.5) > 1e-3 for v in range(256)):
            return scale


def pixel_table_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "pixel_table")
    middle = draw.whole(-20, 20)
    named = {"scale": _scale(draw, 0.005, 0.007), "zero_point": draw.whole(-30, -9), "bits": 7}
    return [
        Case("a scale of its own", (_scale(draw, 0.0045, 0.006), draw.whole(-100, -60))),
        Case("a scale of 1/255", (1 / 255, draw.whole(-120, -90))),
        Case("a large zero point, so that bright pixels saturate", (_scale(draw, 0.004, 0.005), draw.whole(20, 90))),
        Case("a zero point in the middle", (_scale(draw, 0.008, 0.012), middle)),
        Case("a small scale, so that most pixels saturate", (_scale(draw, 0.0008, 0.0012), draw.whole(-128, -100))),
        Case("a scale above 1", (_scale(draw, 1.2, 1.9), draw.whole(-9, 9))),
        Case("4 bits", (_scale(draw, 0.05, 0.09), draw.whole(-8, -5), 4)),
        Case("2 bits", (_scale(draw, 0.28, 0.33), -1, 2)),
        Case("4 bits, the highest zero point", (_scale(draw, 0.05, 0.09), 7, 4)),
        Case("7 bits, by name", (), named),
    ]


def pixel_table_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "table at work")
    return [
        Case("the table of fashion_cnn", (1 / 255, -128)),
        Case("a network that was calibrated on darker images", (_scale(draw, 0.0033, 0.0038), -128)),
    ]


def _from(code: Callable[[int, float, int], float]) -> Callable[..., Tensor]:
    """Another code from v, scale and zero point; clamped as it should be."""

    def mistaken(scale: float, zero_point: int, bits: int = 8) -> Tensor:
        codes = torch.tensor([int(code(v, scale, zero_point)) for v in range(256)])
        return codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int8)

    return mistaken


def _clamped(to: Callable[[Tensor, int], Tensor]) -> Callable[..., Tensor]:
    """The right codes before the clamp, then other ends."""

    def mistaken(scale: float, zero_point: int, bits: int = 8) -> Tensor:
        codes = torch.tensor([round(_quotient(v, scale)) + zero_point for v in range(256)])
        return to(codes, 2 ** (bits - 1)).to(torch.int8)

    return mistaken


def _zero_point_last(scale: float, zero_point: int, bits: int = 8) -> Tensor:
    codes = torch.tensor([round(_quotient(v, scale)) for v in range(256)])
    return (codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) + zero_point).to(torch.int8)


PIXEL_TABLE_MISTAKES = (
    Mistake(
        "by 256",
        "You divide by 256; the brightest pixel, 255, stands for 1.0, so divide by 255.",
        _from(lambda v, scale, zero_point: round(v / 256 / scale) + zero_point),
    ),
    Mistake(
        "pixels 0 to 255",
        "You take the pixels as they are; the network was trained on numbers from 0 to 1, so divide by 255 first.",
        _from(lambda v, scale, zero_point: round(v / scale) + zero_point),
    ),
    Mistake(
        "scale multiplied",
        "You multiply by the scale, which is the size of one step; divide by it to count the steps.",
        _from(lambda v, scale, zero_point: round(v / 255 * scale) + zero_point),
    ),
    Mistake(
        "zero point forgotten",
        "You forgot the zero point, the code of a black pixel; add it to the rounded number.",
        _from(lambda v, scale, zero_point: round(_quotient(v, scale))),
    ),
    Mistake(
        "zero point subtracted",
        "You subtract the zero point; that is the way back, from codes to numbers, so add it.",
        _from(lambda v, scale, zero_point: round(_quotient(v, scale)) - zero_point),
    ),
    Mistake(
        "cut off",
        "You cut off the fraction; round to the nearest whole number.",
        _from(lambda v, scale, zero_point: int(_quotient(v, scale)) + zero_point),
    ),
    Mistake(
        "uint8",
        "You return uint8; the codes go from -128 to 127, so return int8.",
        lambda scale, zero_point, bits=8: right_pixel_table(scale, zero_point, bits).to(torch.uint8),
    ),
    Mistake(
        "no clamp",
        "You did not clamp, so a code above the top comes back at the bottom; clamp before you convert to int8.",
        _clamped(lambda codes, half: codes),
    ),
    Mistake(
        "always 8 bits",
        "You clamp to -128..127 whatever `bits` is; the ends are -2^(bits-1) and 2^(bits-1) - 1.",
        _clamped(lambda codes, half: codes.clamp(-128, 127)),
    ),
    Mistake(
        "ends without a sign",
        "You clamp to 0..2^bits - 1; the codes have a sign, from -2^(bits-1) to 2^(bits-1) - 1.",
        _clamped(lambda codes, half: codes.clamp(0, 2 * half - 1)),
    ),
    Mistake(
        "one code too many",
        "You clamp to 2^(bits-1) at the top, one too many, which wraps around in int8 for 8 bits; the highest code is 2^(bits-1) - 1.",
        _clamped(lambda codes, half: codes.clamp(-half, half)),
    ),
    Mistake(
        "without pixel 255",
        "Your table ends at pixel 254; pixels go from 0 to 255, so it has 256 codes.",
        lambda scale, zero_point, bits=8: right_pixel_table(scale, zero_point, bits)[:255],
    ),
    Mistake(
        "symmetric ends",
        "Your lowest code is -(2^(bits-1) - 1), as for weights; pixels use the lowest code -2^(bits-1) too.",
        _clamped(lambda codes, half: codes.clamp(1 - half, half - 1)),
    ),
    Mistake(
        "zero point after the clamp",
        "You clamp first and add the zero point then, so codes leave the range; add it first.",
        _zero_point_last,
    ),
)

pixel_table = Exercise(
    name="pixel_table",
    unit="08_deployment",
    points=1,
    difficulty=1,
    minutes=6,
    oracle=right_pixel_table,
    cases=pixel_table_cases,
    workload=pixel_table_workload,
    mistakes=PIXEL_TABLE_MISTAKES,
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)"},
    library="deployment.layouts:pixel_table quantization:quantize",
)
