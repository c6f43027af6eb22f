"""Cases and known mistakes of `pack_int4` and `unpack_int4`: two codes of 4 bits share a byte.

Conventions that the notebook states in the same words: codes -8 to 7 in two's complement; byte i of a row holds code 2i in its low
nibble (bits 0 to 3) and code 2i + 1 in its high one; where k is odd the last high nibble is 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake


def right_pack4(codes: Tensor) -> Tensor:
    pairs = F.pad(codes.long(), (0, codes.shape[1] % 2)).remainder(16)
    return (pairs[:, ::2] + 16 * pairs[:, 1::2]).to(torch.uint8)


def _nibbles(packed: Tensor) -> tuple[Tensor, Tensor]:
    return packed.long() % 16, packed.long() // 16


def _signed(nibble: Tensor) -> Tensor:
    return nibble - 16 * (nibble > 7).long()


def _joined(low: Tensor, high: Tensor, k: int) -> Tensor:
    return torch.stack((low, high), 2).flatten(1)[:, :k].to(torch.int8).contiguous()


def right_unpack4(packed: Tensor, k: int) -> Tensor:
    low, high = _nibbles(packed)
    return _joined(_signed(low), _signed(high), k)


def _codes(draw: Draw) -> list[tuple[str, Tensor]]:
    n, k = draw.whole(2, 6), draw.whole(3, 9)
    every = torch.cartesian_prod(torch.arange(-8, 8), torch.arange(-8, 8)).to(torch.int8)
    return [
        ("an even size", draw.codes(-8, 7, n, 2 * k)),
        ("an odd size", draw.codes(-8, 7, n, 2 * k + 1)),
        ("every pair of codes", every.reshape(16, 32)),
        ("codes from 0 to 7", draw.codes(0, 7, n, 8)),
        ("negative codes", draw.codes(-8, -1, n, 7)),
        ("one input", draw.codes(-8, -1, n, 1)),
        ("all at the lowest code", torch.full((2, 5), -8, dtype=torch.int8)),
        ("no row", torch.zeros(0, 4, dtype=torch.int8)),
        ("a view that is not contiguous", strided(draw.codes(-8, 7, 3, 5))),
        ("a transposed view", draw.codes(-8, 7, 8, 5).T),
    ]


def pack4_cases(seed: int) -> list[Case]:
    return [Case(words, (codes,)) for words, codes in _codes(Draw(seed, "pack_int4"))]


def unpack4_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "unpack_int4")
    cases = [Case(words, (right_pack4(codes), codes.shape[1])) for words, codes in _codes(draw)]
    view = strided(draw.codes(-128, 127, 3, 4)).view(torch.uint8)
    filled = draw.codes(-128, 127, 4, 5).view(torch.uint8)
    return [*cases, Case("bytes that are not contiguous", (view, 8)), Case("an odd size, the last nibble in use", (filled, 9))]


def _bytes_of(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`change` makes bytes (as int64) from the signed codes of both nibbles."""

    def pack_int4(codes: Tensor) -> Tensor:
        pairs = F.pad(codes.long(), (0, codes.shape[1] % 2))
        return change(pairs[:, ::2], pairs[:, 1::2]).remainder(256).to(torch.uint8)

    return pack_int4


def _halves(codes: Tensor) -> Tensor:
    pairs = F.pad(codes.long(), (0, codes.shape[1] % 2)).remainder(16)
    half = pairs.shape[1] // 2
    return (pairs[:, :half] + 16 * pairs[:, half:]).to(torch.uint8)


PACK4_MISTAKES = (
    Mistake(
        "sign spills over",
        "A negative low code fills the high nibble with ones; keep four bits of it, & 15, before you join them.",
        _bytes_of(lambda low, high: low | (high << 4)),
    ),
    Mistake(
        "sign spills into a sum",
        "You add a negative low code, which borrows from the high nibble; keep four bits of it first, & 15.",
        _bytes_of(lambda low, high: low + 16 * high),
    ),
    Mistake(
        "nibbles swapped",
        "Your nibbles are swapped: code 2i belongs in the low one, code 2i + 1 in the high one.",
        _bytes_of(lambda low, high: 16 * (low % 16) + high % 16),
    ),
    Mistake(
        "raised by 8",
        "You stored code + 8; here a nibble is two's complement, the code & 15.",
        _bytes_of(lambda low, high: (low + 8) + 16 * (high + 8)),
    ),
    Mistake(
        "sign lost",
        "You keep three bits, so -8 and 0 look the same; a nibble has four: & 15.",
        _bytes_of(lambda low, high: low % 8 + 16 * (high % 8)),
    ),
    Mistake(
        "magnitudes",
        "You stored magnitudes; two's complement keeps the sign: the code & 15.",
        _bytes_of(lambda low, high: low.abs() + 16 * high.abs()),
    ),
    Mistake(
        "last code lost",
        "With an odd size the last code is missing; fill up with a 0 first.",
        lambda codes: right_pack4(codes[:, : codes.shape[1] // 2 * 2]),
    ),
    Mistake(
        "two halves", "You joined code i with code i + k/2; neighbours share a byte: codes[:, ::2] and codes[:, 1::2].", _halves
    ),
    Mistake(
        "signed bytes",
        "Your bytes are int8; the dtype of packed codes is uint8.",
        lambda codes: right_pack4(codes).view(torch.int8),
    ),
    Mistake(
        "one code a byte",
        "Every code still takes a byte of its own; two share one, so the rows become half as long.",
        lambda codes: codes.long().remainder(16).to(torch.uint8),
    ),
)


def _codes_of(change: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    return lambda packed, k: change(*_nibbles(packed), k)


UNPACK4_MISTAKES = (
    Mistake(
        "no sign",
        "Your codes go from 0 to 15; bit 3 is the sign: nibbles from 8 to 15 stand for -8 to -1.",
        _codes_of(_joined),
    ),
    Mistake(
        "sign of the high nibble only",
        "The low codes have no sign; shift them to the top of the byte first, then back as int8.",
        _codes_of(lambda low, high, k: _joined(low, _signed(high), k)),
    ),
    Mistake(
        "sign of the low nibble only",
        "The high codes have no sign; a uint8 shifts zeros in, so see the byte as int8 before the shift.",
        _codes_of(lambda low, high, k: _joined(_signed(low), high, k)),
    ),
    Mistake(
        "minus 8",
        "You subtracted 8; the nibbles are two's complement, not raised by 8.",
        _codes_of(lambda low, high, k: _joined(low - 8, high - 8, k)),
    ),
    Mistake(
        "nibbles swapped",
        "Your nibbles are swapped: the low one is code 2i, the high one is code 2i + 1.",
        _codes_of(lambda low, high, k: _joined(_signed(high), _signed(low), k)),
    ),
    Mistake(
        "two halves",
        "You put all low codes before all high ones; they alternate: stack them on a new last axis, then flatten.",
        _codes_of(lambda low, high, k: torch.cat((_signed(low), _signed(high)), 1)[:, :k].to(torch.int8)),
    ),
    Mistake(
        "padding kept",
        "With an odd k the last nibble is only filling; cut the result down to k codes.",
        _codes_of(lambda low, high, k: _joined(_signed(low), _signed(high), 2 * low.shape[1])),
    ),
    Mistake(
        "last code lost",
        "With an odd k the last code is missing; the last byte still holds one.",
        _codes_of(lambda low, high, k: _joined(_signed(low), _signed(high), k // 2 * 2)),
    ),
    Mistake(
        "wrong sign bit",
        "You take 8 itself for a positive code; nibbles from 8 on are negative, 8 is -8.",
        _codes_of(lambda low, high, k: _joined(low - 16 * (low > 8), high - 16 * (high > 8), k)),
    ),
    Mistake(
        "high nibble not moved",
        "You did not shift the high nibble down, so its codes come 16 times too large; >> 4 brings them to -8 to 7.",
        _codes_of(lambda low, high, k: _joined(_signed(low), 16 * _signed(high), k)),
    ),
)
