"""Cases and known mistakes of `unpack_int4`: the two codes of each byte, with their signs.

Conventions that the notebook states in the same words: codes -8 to 7 in two's complement; byte i of a row holds code 2i in its low
nibble (bits 0 to 3) and code 2i + 1 in its high one; where k is odd the last high nibble is not used.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.pack_int4 import drawn_codes, pack4_workload, right_pack4
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided


def _nibbles(packed: Tensor) -> tuple[Tensor, Tensor]:
    return packed.long() % 16, packed.long() // 16


def _signed(nibble: Tensor) -> Tensor:
    return nibble - 16 * (nibble > 7).long()


def _joined(low: Tensor, high: Tensor, k: int) -> Tensor:
    return torch.stack((low, high), 2).flatten(1)[:, :k].to(torch.int8).contiguous()


def right_unpack4(packed: Tensor, k: int) -> Tensor:
    low, high = _nibbles(packed)
    return _joined(_signed(low), _signed(high), k)


def unpack4_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "unpack_int4")
    cases = [Case(words, (right_pack4(codes), codes.shape[1])) for words, codes in drawn_codes(draw) if len(codes)]
    view = strided(draw.codes(-128, 127, 3, 4)).view(torch.uint8)
    filled = draw.codes(-128, 127, 4, 5).view(torch.uint8)
    others = draw.codes(-128, 127, 4, 5).view(torch.uint8)  # of the same size: a buffer that is used again would show
    return [
        *cases,
        Case("bytes that are not contiguous", (view, 8)),
        Case("an odd size, the last nibble not 0", (filled, 9)),
        Case("other bytes of the same size", (others, 9)),
    ]


def unpack4_workload(seed: int) -> list[Case]:
    """What the notebook unpacks: rows of its layer, and each byte in a row of its own, of which only the low code counts."""
    wide = [Case(case.words, (right_pack4(case.args[0]), case.args[0].shape[1])) for case in pack4_workload(seed)]
    return [*wide, Case("each byte, its low code", (torch.arange(256).to(torch.uint8)[:, None], 1))]


def _codes_of(change: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    return lambda packed, k: change(*_nibbles(packed), k)


UNPACK4_MISTAKES = (
    Mistake(
        "no sign",
        "Your codes are 0 to 15; bit 3 is the sign bit: convert 8 to 15 to -8 to -1.",
        _codes_of(_joined),
    ),
    Mistake(
        "sign of the high nibble only",
        "The low codes have no sign; shift them to the top of the byte first, then back as int8.",
        _codes_of(lambda low, high, k: _joined(low, _signed(high), k)),
    ),
    Mistake(
        "sign of the low nibble only",
        "The high codes have no sign; a uint8 shifts zeros in, so view the byte as int8 before the shift.",
        _codes_of(lambda low, high, k: _joined(_signed(low), high, k)),
    ),
    Mistake(
        "minus 8",
        "You subtracted 8 from every nibble; nibbles are two's complement: subtract 16 from 8 to 15.",
        _codes_of(lambda low, high, k: _joined(low - 8, high - 8, k)),
    ),
    Mistake(
        "nibbles swapped",
        "You swapped the nibbles: the low one is code 2i, the high one is code 2i + 1.",
        _codes_of(lambda low, high, k: _joined(_signed(high), _signed(low), k)),
    ),
    Mistake(
        "two halves",
        "You put all low codes before all high ones; they must alternate: stack them on a new last axis, then flatten.",
        _codes_of(lambda low, high, k: torch.cat((_signed(low), _signed(high)), 1)[:, :k].to(torch.int8)),
    ),
    Mistake(
        "padding kept",
        "With an odd k the last nibble is padding; cut the result to k codes.",
        _codes_of(lambda low, high, k: _joined(_signed(low), _signed(high), 2 * low.shape[1])),
    ),
    Mistake(
        "last code lost",
        "With an odd k the last code is missing; it is in the low nibble of the last byte.",
        _codes_of(lambda low, high, k: _joined(_signed(low), _signed(high), k // 2 * 2)),
    ),
    Mistake(
        "wrong sign bit",
        "You treat nibble 8 as a positive code; nibbles from 8 on are negative: 8 is -8.",
        _codes_of(lambda low, high, k: _joined(low - 16 * (low > 8), high - 16 * (high > 8), k)),
    ),
    Mistake(
        "high nibble not moved",
        "You did not shift the high nibble down, so its codes are 16 times too large; use >> 4.",
        _codes_of(lambda low, high, k: _joined(_signed(low), 16 * _signed(high), k)),
    ),
)


unpack_int4 = Exercise(
    name="unpack_int4",
    unit="05_cpu_kernels",
    points=2,
    difficulty=3,
    minutes=8,
    oracle=right_unpack4,
    cases=unpack4_cases,
    workload=unpack4_workload,
    mistakes=UNPACK4_MISTAKES,
    judge=close(0.0, 0.0),
    legal={"not contiguous": "It need not be contiguous."},
    through="engine.authorship:own",
)
