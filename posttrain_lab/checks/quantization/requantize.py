"""Cases and known mistakes of `requantize`: from an int32 sum to an int8 code, with integer arithmetic only.

Conventions that the notebook states in the same words:
- 2^-30 < multiplier < 1; multiplier = m * 2^-shift with the whole number m in [2^30, 2^31): m = round(multiplier * 2^shift);
- the product acc * m is an int64; (acc * m + 2^(shift-1)) >> shift rounds it to nearest, ties towards +infinity, once;
- then the zero point is added, then the code is clamped to `bits` bits; int8.

Most cases stay 0.02 away from ties, where the rounding of m (31 bits: 2^-31 of the result) cannot matter. The others are close to ties: those
with a multiplier of 31 bits, where float64 with its 53 bits rounds products just below a tie to the tie (found by search), and those with
a multiplier of 53 bits, where another m than the page's, larger or smaller by 1, gives other codes.
"""

import math

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.quantization.quantize import ends

# acc * m = (k + 1/2) * 2^shift minus less than 64; float64 makes k + 1/2 of it. (acc, m, shift); odd k first, then even k
ODD = (
    (1603318337, 1213455241, 57),
    (1681345995, 1960711797, 55),
    (1714163552, 1192788301, 54),
    (776719050, 1646698757, 55),
    (546294547, 1632292929, 54),
    (1063232557, 1812905961, 55),
)


EVEN = ((541258729, 2146715871, 54), (756693135, 1725988821, 54), (1739815353, 1459942393, 55), (1704781749, 1627315269, 56))


def _fixed_point(multiplier: float, places: int = 31) -> tuple[int, int]:
    fraction, exponent = math.frexp(multiplier)
    return round(fraction * 2**places), places - exponent


def _clamped(code: Tensor, bits: int) -> Tensor:
    return code.clamp(*ends(bits)).to(torch.int8)


def right_requantize(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    return _clamped(((acc.long() * m + (1 << (shift - 1))) >> shift) + zero_point, bits)


def _sums(draw: Draw, multiplier: float, reach: float, *shape: int) -> Tensor:
    """Sums whose product with the multiplier is within +-reach and 0.02 or more away from a tie."""
    top = int(min(reach / multiplier, 2**31 - 1))
    sums = torch.randint(-top, top + 1, (4 * math.prod(shape) + 99,), generator=draw.generator)
    fraction = (sums.double() * multiplier).remainder(1)
    return sums[(fraction - 0.5).abs() > 0.02][: math.prod(shape)].reshape(shape).to(torch.int32)


def _int32(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


def _just_below_ties(draw: Draw) -> list[Case]:
    words = "sums near 2^31 whose products are just below a tie"
    found = [draw.pick(ODD), draw.pick(EVEN)]
    return [Case(words, (_int32(acc, -acc, acc // 3), m * 2.0**-shift, 0)) for acc, m, shift in found]


def _close_to_ties(draw: Draw) -> Case:
    """A multiplier that needs 31 bits, and sums whose products are 1e-5 to 2e-3 of a code away from a tie."""
    multiplier = (2 * draw.whole(2**29, 2**30 - 1) + 1) * 2.0**-55
    sums = torch.randint(-(2**31), 2**31 - 1, (30_000,), generator=draw.generator)
    distance = ((sums.double() * multiplier).remainder(1) - 0.5).abs()
    chosen = sums[(distance > 1e-5) & (distance < 2e-3)].to(torch.int32)
    return Case("products close to ties, a multiplier of 31 bits", (chosen, multiplier, draw.whole(-9, 9)))


def requantize_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "requantize")
    small, nearly = draw.real(2e-4, 9e-4), draw.real(0.93, 0.99)
    bits = draw.whole(2, 7)
    zero_point = draw.pick((draw.whole(-90, -20), draw.whole(20, 90)))
    half = draw.pick((1, 3, 7))
    near_end = (draw.whole(60, 110) + 0.45) / 2**31  # 0.45: rounded to a multiple of 2^-31 it is very inaccurate
    ties = (2 * torch.arange(-8, 9) + 1).to(torch.int32) * 2 ** (half - 1)
    return [
        Case("sums in and outside the range", (_sums(draw, small, 300.0, 61), small, zero_point)),
        Case("exact ties, which are rounded up", (ties, 2.0**-half, draw.whole(-9, 9))),
        *_just_below_ties(draw),
        _close_to_ties(draw),
        Case("the largest and smallest int32", (_int32(2**31 - 1, -(2**31), 2**31 - 7), near_end, -3)),
        Case("sums over all of int32", (_sums(draw, near_end, 200.0, 61), near_end, draw.whole(-9, 9))),
        Case("far outside the range", (_int32(2**31 - 1, -(2**31), 10**6, -(10**6)), 0.011, zero_point)),
        Case("a multiplier just below 1", (torch.arange(-140, 141, 7, dtype=torch.int32), 1 - 2.0**-40, draw.whole(-3, 3))),
        Case("a multiplier near 1", (_sums(draw, nearly, 140.0, 23), nearly, -5)),
        Case(f"{bits} bits", (_sums(draw, 0.013, 2.0**bits, 31), 0.013, draw.whole(*ends(bits)), bits)),
        Case("3 bits, by name", (_sums(draw, small, 6.0, 17), small, 1), {"bits": 3}),
        Case("a view that is not contiguous", (strided(_sums(draw, 0.037, 150.0, 3, 5)), 0.037, 7)),
        Case("a transposed view", (_sums(draw, 0.37, 150.0, 4, 3).T, 0.37, zero_point)),
        Case("a single sum without axes", (_sums(draw, 0.0021, 90.0, 1)[0], 0.0021, 2)),
        Case("sums of zero", (torch.zeros(2, 2, dtype=torch.int32), small, zero_point)),
        Case("an empty tensor", (torch.zeros(0, 4, dtype=torch.int32), small, zero_point)),
    ]


def _first(step: int, modulus: int, low: int, high: int) -> int:
    """The smallest x >= 0 with low <= step * x mod modulus <= high (0 < low <= high < modulus), by Euclid's algorithm; -1 if there is none."""
    step %= modulus
    if not step:
        return -1
    x = -(-low // step)
    if step * x <= high:
        return x
    if low <= 0 or step * 2 > modulus:
        return _first(modulus - step, modulus, modulus - high, modulus - low)
    y = _first(modulus, step, -high % step, -low % step)
    return -1 if y < 0 else -(-(low + modulus * y) // step)


def _where_m_matters(draw: Draw, m: int, shift: int) -> list[int]:
    """Sums, perhaps beyond int32, whose product with m is so close to a tie that m + 1 (first half) or m - 1 (second) gives another code."""
    found, modulus = [], 1 << shift
    for above in (False,) * 4 + (True,) * 4:
        start = draw.whole(2**29, 2**30)
        middle = (modulus >> 1) - start * m  # an x more adds x * m
        low = (middle if above else middle - start) % modulus
        found.append(start + _first(m, modulus, low, low + start - 1))
    return found


def requantize_workload(seed: int) -> list[Case]:
    """The sums of a layer for many images, the smallest multipliers, and sums for which the last bit of m counts."""
    draw = Draw(seed, "requantize workload")
    usual, small = draw.real(0.7e-4, 2e-4), draw.real(1.01, 1.9) * 2.0**-30
    cases = [
        Case("the sums of a layer for many images", (_sums(draw, usual, 150.0, 96, 130), usual, draw.whole(-20, 20))),
        Case("a multiplier near 2^-30", (_sums(draw, small, 1.9, 47), small, draw.whole(-9, 9))),
    ]
    for rest in (draw.real(0.1, 0.4), draw.real(0.6, 0.9)):  # what the rounding of m leaves out
        m, shift, sums = 0, 55, [2**31]
        while max(sums) >= 2**31:  # of some m the next sum lies beyond int32
            m = 2 * draw.whole(2**29, 2**30 - 1) + 1  # odd: 30 bits cannot hold it
            sums = _where_m_matters(draw, m, shift)
        exact = (m + rest - round(rest)) * 2.0**-shift
        cases.append(Case("sums for which every bit of m counts", (_int32(*sums), exact, draw.whole(-9, 9))))
    return cases


def _exact(acc: Tensor, multiplier: float) -> tuple[Tensor, Tensor]:
    """The whole number below the exact product, and the rest in units of 2^-shift: product = whole + rest / 2^shift; also 2^(shift-1)."""
    m, shift = _fixed_point(multiplier)
    product = acc.long() * m
    whole = product >> shift
    return whole, (product - (whole << shift)) - (1 << (shift - 1))


def _half_even(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    whole, over = _exact(acc, multiplier)
    up = (over > 0) | ((over == 0) & (whole % 2 == 1))
    return _clamped(whole + up + zero_point, bits)


def _half_away(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    whole, over = _exact(acc, multiplier)
    up = (over > 0) | ((over == 0) & (whole >= 0))
    return _clamped(whole + up + zero_point, bits)


def _towards_zero(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    return _clamped(acc.sign() * ((acc.long().abs() * m) >> shift) + zero_point, bits)


def _int32_product(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    product = (acc.long() * m + 2**31).remainder(2**32) - 2**31
    return _clamped(((product + (1 << (shift - 1))) >> shift) + zero_point, bits)


def _not_widened(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    return _clamped(((acc * m + (1 << (shift - 1))) >> shift) + zero_point, bits)


def _divided(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    return _clamped((acc.long() * m + (1 << (shift - 1))) / 2**shift + zero_point, bits)


def _wrong_way(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    shift = 62 - shift
    return _clamped(((acc.long() * m + (1 << (shift - 1))) >> shift) + zero_point, bits)


def _not_normalized(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    return _clamped(((acc.long() * round(multiplier * 2**31) + 2**30) >> 31) + zero_point, bits)


def _clamped_first(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    code = right_requantize(acc, multiplier, 0, bits).long() + zero_point
    return ((code + 128).remainder(256) - 128).to(torch.int8)


def _wrapped(acc: Tensor, multiplier: float, zero_point: int, bits: int = 8) -> Tensor:
    m, shift = _fixed_point(multiplier)
    code = ((acc.long() * m + (1 << (shift - 1))) >> shift) + zero_point
    return ((code + 128).remainder(256) - 128).to(torch.int8)


REQUANTIZE_MISTAKES = (
    Mistake(
        "float multiply",
        "You multiply in floating point; use int64, because float32 has only 24 bits and its round() takes ties to even.",
        lambda acc, multiplier, zero_point, bits=8: _clamped((acc * multiplier).round().nan_to_num() + zero_point, bits),
    ),
    Mistake(
        "float64 multiply",
        "You multiply in float64, whose 53 bits are too few for the 62-bit product; multiply the whole numbers acc and m in int64.",
        lambda acc, multiplier, zero_point, bits=8: _clamped((acc.double() * multiplier + 0.5).floor() + zero_point, bits),
    ),
    Mistake(
        "truncating shift",
        "A plain shift rounds down, half a code too low on average; add 2^(shift-1) before you shift.",
        lambda acc, multiplier, zero_point, bits=8: _clamped(_exact(acc, multiplier)[0] + zero_point, bits),
    ),
    Mistake(
        "rounds towards zero",
        "You round towards zero, as integer division in C does; add 2^(shift-1), then shift right.",
        _towards_zero,
    ),
    Mistake(
        "ties to even", "You round ties to the even code; add 2^(shift-1) before the shift, which rounds them up.", _half_even
    ),
    Mistake(
        "ties away from zero",
        "You round negative ties down (away from zero); add 2^(shift-1) before the shift, which rounds all ties up, -1.5 to -1.",
        _half_away,
    ),
    Mistake(
        "product overflows",
        "acc * m has up to 62 bits and overflows int32; convert acc to int64 before you multiply.",
        _int32_product,
    ),
    Mistake(
        "sums not widened",
        "acc is int32, so acc * m overflows and wraps around; convert acc to int64 before you multiply.",
        _not_widened,
    ),
    Mistake(
        "divided, not shifted",
        "You divide with /, which gives floats; shift the whole number right with >>.",
        _divided,
    ),
    Mistake(
        "sign of the shift",
        "Your shift has the wrong sign: multiplier = m * 2^-shift, so a smaller multiplier needs a larger shift, 31 - exponent.",
        _wrong_way,
    ),
    Mistake(
        "multiplier not normalized",
        "You always shift by 31, so a small multiplier keeps only a few bits; choose the shift so that m is in [2^30, 2^31).",
        _not_normalized,
    ),
    Mistake(
        "zero point before the multiplier",
        "You added the zero point to the sum; it is a code of the output, so add it after the multiplication.",
        lambda acc, multiplier, zero_point, bits=8: right_requantize(acc + zero_point, multiplier, 0, bits),
    ),
    Mistake(
        "zero point forgotten",
        "The zero point is missing, or you added it before the shift; add it after the shift, so that a sum of 0 gets the code zero_point.",
        lambda acc, multiplier, zero_point, bits=8: right_requantize(acc, multiplier, 0, bits),
    ),
    Mistake(
        "clamped before the zero point",
        "You clamp first and add the zero point after, so codes can be outside the range again; clamp last.",
        _clamped_first,
    ),
    Mistake("wraps around", "Codes outside the range wrap around to the other end; clamp before you convert to int8.", _wrapped),
    Mistake(
        "bits ignored",
        "You always clamp to [-128, 127]; with `bits` bits the codes end at -2^(bits-1) and 2^(bits-1) - 1.",
        lambda acc, multiplier, zero_point, bits=8: right_requantize(acc, multiplier, zero_point, 8),
    ),
)


requantize = Exercise(
    name="requantize",
    unit="02_quantization",
    points=3,
    difficulty=4,
    minutes=15,
    oracle=right_requantize,
    cases=requantize_cases,
    mistakes=REQUANTIZE_MISTAKES,
    workload=requantize_workload,
    legal={"not contiguous": "how q lies in memory is free, and so it is for all results of this unit"},
    library="quantization:requantize",
)
