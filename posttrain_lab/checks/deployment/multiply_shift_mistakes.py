"""The known mistakes of `multiply_shift`: other roundings, parts that are lost, numbers that do not fit."""

import struct

import torch
from torch import Tensor

from posttrain_lab.checks.deployment.multiply_shift_oracle import number_by_number, right_multiply_shift
from posttrain_lab.checks.engine.exercise import Mistake


def _half(s: int) -> int:
    return 1 << (s - 1)


def _away_from_zero(one: int, m: int, s: int) -> int:
    size = (abs(one) * m + _half(s)) >> s
    return size if one >= 0 else -size


def _to_even(one: int, m: int, s: int) -> int:
    code, rest = one * m >> s, one * m & ((1 << s) - 1)
    return code + (rest > _half(s) or (rest == _half(s) and code % 2 == 1))


def _towards_zero(one: int, m: int, s: int) -> int:
    number = one * m + _half(s)
    return number >> s if number >= 0 else -(-number >> s)


def _float32(m: int) -> int:
    return int(struct.unpack("f", struct.pack("f", m))[0])


def _int32(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def _low_towards_zero(one: int, m: int, s: int) -> int:
    low = abs(one) * (m & 65535) >> 16
    return (one * (m >> 16) + (low if one >= 0 else -low) + (1 << (s - 17))) >> (s - 16)


def _low_rounded(one: int, m: int, s: int) -> int:
    return (one * (m >> 16) + ((one * (m & 65535) + 32768) >> 16) + (1 << (s - 17))) >> (s - 16)


def _halves(one: int, m: int, s: int, low: int, half: int) -> int:
    return (one * (m >> 16) + low + half) >> (s - 16)


def _first_multiplier(sums: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    return right_multiply_shift(sums, multiplier[:1].expand(len(multiplier)), shift[:1].expand(len(shift)))


def _codes(sums: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    return right_multiply_shift(sums, multiplier, shift).clamp(-128, 127).to(torch.int8)


def _unconverted(sums: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    """The formula in the dtypes that come."""
    half = 2 ** (shift - 17)
    return (sums * (multiplier >> 16) + (sums * (multiplier & 65535) >> 16) + half) >> (shift - 16)


def _half_in_float32(sums: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
    s, m, t = sums.long(), multiplier.long(), shift.long()
    total = s * (m >> 16) + (s * (m & 65535) >> 16) + 2.0 ** (t - 17)
    return total.long() >> (t - 16)


MULTIPLY_SHIFT_MISTAKES = (
    Mistake(
        "no half",
        "You do not add the half, so every number is rounded down; add 2^(shift-1) before the shift (2^(shift-17) after the split).",
        number_by_number(lambda one, m, s: one * m >> s),
    ),
    Mistake(
        "half away from zero",
        "You round the ties of negative sums down, away from zero; add the half for both signs, so that ties go up.",
        number_by_number(_away_from_zero),
    ),
    Mistake(
        "half to even",
        "You round ties to the even number, as torch.round does; here they go up.",
        number_by_number(_to_even),
    ),
    Mistake(
        "towards zero",
        "You divide towards zero; the shift >> rounds down, also for negative numbers.",
        number_by_number(_towards_zero),
    ),
    Mistake(
        "float32 multiplier",
        "Your multiplier passed through float32, which has 24 of its 31 bits; keep it whole.",
        number_by_number(lambda one, m, s: (one * _float32(m) + _half(s)) >> s),
    ),
    Mistake(
        "int32 product",
        "You multiply in int32, where the product wraps around; convert to int64 first (in a tensor of int64: .long()).",
        number_by_number(lambda one, m, s: (_int32(one * m) + _half(s)) >> s),
    ),
    Mistake(
        "int32 halves",
        "Your halves are right, but the products wrap around in int32; convert the sums to int64 first (.long()).",
        number_by_number(
            lambda one, m, s: (_int32(one * (m >> 16)) + (_int32(one * (m & 65535)) >> 16) + (1 << (s - 17))) >> (s - 16)
        ),
    ),
    Mistake(
        "nothing converted",
        "You compute in the dtypes that come: products wrap around in int32, the half in int8; convert all three first (.long()).",
        _unconverted,
    ),
    Mistake(
        "only the shift converted",
        "Your products wrap around where sums and multiplier are int32; convert them first too (.long()).",
        lambda sums, multiplier, shift: _unconverted(sums, multiplier, shift.long()),
    ),
    Mistake(
        "half in int8",
        "Your half, 2^(shift-17), wraps around where the shifts are int8; convert them first (shift.long()).",
        lambda sums, multiplier, shift: _unconverted(sums.long(), multiplier.long(), shift),
    ),
    Mistake(
        "half in float32",
        "2.0 ** (shift - 17) is a float32, and so is the sum with it, which has 24 bits; write 2 ** (shift - 17).",
        _half_in_float32,
    ),
    Mistake(
        "mask of one bit",
        "m & 65536 keeps a single bit; the lower 16 bits are m & 65535.",
        number_by_number(lambda one, m, s: _halves(one, m, s, one * (m & 65536) >> 16, 1 << (s - 17))),
    ),
    Mistake(
        "a whole in place of the half",
        "You add 2^(shift-16), which is a whole code after the shift; the half of it is 2^(shift-17).",
        number_by_number(lambda one, m, s: _halves(one, m, s, one * (m & 65535) >> 16, 1 << (s - 16))),
    ),
    Mistake(
        "low half dropped",
        "You use the upper 16 bits of the multiplier only; add floor(sum * low / 2^16).",
        number_by_number(lambda one, m, s: _halves(one, m, s, 0, 1 << (s - 17))),
    ),
    Mistake(
        "low product not shifted",
        "You add sum * low as it is; it counts 2^16 times less than sum * high, so shift it by 16 first.",
        number_by_number(lambda one, m, s: _halves(one, m, s, one * (m & 65535), 1 << (s - 17))),
    ),
    Mistake(
        "low product towards zero",
        "You cut sum * low / 2^16 off towards zero; for negative sums the floor is one lower: use >> or floor.",
        number_by_number(_low_towards_zero),
    ),
    Mistake(
        "low product rounded",
        "You round sum * low / 2^16 and then round again; take the floor there, and round once, at the end.",
        number_by_number(_low_rounded),
    ),
    Mistake(
        "the half of the whole shift",
        "You add 2^(shift-1) after the split; there the half has 16 bits less, 2^(shift-17).",
        number_by_number(lambda one, m, s: _halves(one, m, s, one * (m & 65535) >> 16, 1 << (s - 1))),
    ),
    Mistake(
        "half of a double",
        "You compute floor(sum * m / 2^shift + 0.5) in doubles, whose 53 bits are not enough for all of the product.",
        number_by_number(lambda one, m, s: int((float(one) * float(m) / 2.0**s + 0.5) // 1)),
    ),
    Mistake(
        "one multiplier for all",
        "You use the first channel's multiplier and shift for all channels; each channel has its own.",
        _first_multiplier,
    ),
    Mistake(
        "clamped",
        "You return codes of int8; zero point and clamp come later, so return the int64 numbers.",
        _codes,
    ),
)
