"""Cases and known mistakes of `pack_int4`: two codes of 4 bits in each byte.

Conventions that the notebook states in the same words: codes -8 to 7 in two's complement; byte i of a row holds code 2i in its low
nibble (bits 0 to 3) and code 2i + 1 in its high one; where k is odd the last high nibble is 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_pack4(codes: Tensor) -> Tensor:
    pairs = F.pad(codes.long(), (0, codes.shape[1] % 2)).remainder(16)
    return (pairs[:, ::2] + 16 * pairs[:, 1::2]).to(torch.uint8)


def drawn_codes(draw: Draw) -> list[tuple[str, Tensor]]:
    n, k = draw.whole(2, 6), draw.whole(3, 9)
    every = torch.cartesian_prod(torch.arange(-8, 8), torch.arange(-8, 8)).to(torch.int8)
    return [
        ("an even size", draw.codes(-8, 7, n, 2 * k)),
        ("an odd size", draw.codes(-8, 7, n, 2 * k + 1)),
        ("every pair of codes", every.reshape(16, 32)),
        ("codes from 0 to 7", draw.codes(0, 7, n, 8)),
        ("negative codes", draw.codes(-8, -1, n, 7)),
        ("one input", draw.codes(-8, -1, n, 1)),
        ("only the lowest code", torch.full((2, 5), -8, dtype=torch.int8)),
        ("no row", torch.zeros(0, 4, dtype=torch.int8)),
        ("a view that is not contiguous", strided(draw.codes(-8, 7, 3, 5))),
        ("a transposed view", draw.codes(-8, 7, 8, 5).T),
    ]


def pack4_cases(seed: int) -> list[Case]:
    return [Case(words, (codes,)) for words, codes in drawn_codes(Draw(seed, "pack_int4"))]


def pack4_workload(seed: int) -> list[Case]:
    """Rows of the notebook's layer."""
    draw = Draw(seed, "pack4 workload")
    return [Case("wide rows", (draw.codes(-8, 7, 4, 1030),)), Case("many rows, an odd width", (draw.codes(-8, 7, 270, 11),))]


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
        "A negative low code fills the high nibble with ones; keep four bits of it, & 15, before you combine them.",
        _bytes_of(lambda low, high: low | (high << 4)),
    ),
    Mistake(
        "sign spills into a sum",
        "You add a negative low code, which changes the high nibble; keep four bits of it first, & 15.",
        _bytes_of(lambda low, high: low + 16 * high),
    ),
    Mistake(
        "nibbles swapped",
        "You swapped the nibbles: code 2i is in the low one, code 2i + 1 in the high one.",
        _bytes_of(lambda low, high: 16 * (low % 16) + high % 16),
    ),
    Mistake(
        "raised by 8",
        "You stored code + 8; here a nibble is two's complement, the code & 15.",
        _bytes_of(lambda low, high: (low + 8) + 16 * (high + 8)),
    ),
    Mistake(
        "sign lost",
        "You keep three bits, so -8 and 0 become equal; keep four: & 15.",
        _bytes_of(lambda low, high: low % 8 + 16 * (high % 8)),
    ),
    Mistake(
        "magnitudes",
        "You stored magnitudes; use two's complement, which includes the sign: the code & 15.",
        _bytes_of(lambda low, high: low.abs() + 16 * high.abs()),
    ),
    Mistake(
        "last code lost",
        "With an odd size the last code is missing; pad with a 0 first.",
        lambda codes: right_pack4(codes[:, : codes.shape[1] // 2 * 2]),
    ),
    Mistake(
        "two halves",
        "You combined code i with code i + k/2; neighbours are in one byte: codes[:, ::2] and codes[:, 1::2].",
        _halves,
    ),
    Mistake(
        "signed bytes",
        "Your bytes are int8; convert them to uint8.",
        lambda codes: right_pack4(codes).view(torch.int8),
    ),
    Mistake(
        "one code a byte",
        "You store each code in a byte of its own; store two in each byte, so that the rows are half as long.",
        lambda codes: codes.long().remainder(16).to(torch.uint8),
    ),
)


pack_int4 = Exercise(
    name="pack_int4",
    unit="05_cpu_kernels",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_pack4,
    cases=pack4_cases,
    workload=pack4_workload,
    mistakes=PACK4_MISTAKES,
    judge=close(0.0, 0.0),
    legal={"not contiguous": "The result need not be contiguous."},
    through="engine.authorship:own",
)
