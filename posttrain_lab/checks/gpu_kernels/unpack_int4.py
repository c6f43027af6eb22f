"""Cases and known mistakes of `unpack_int4`: 4-bit codes are extracted from bytes, then scaled.

Conventions: a byte holds columns 2j (low four bits) and 2j + 1 (high), as signed codes -8 to 7; scale[row, column // group]. A product of
a code and a float32 scale is one rounding (1e-6).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.kernels.gpu.interpreter import outside


def nibbles(packed: Tensor, columns: int) -> Tensor:
    """The four bits of each column, 0 to 15, int32 [rows, columns]."""
    wide = packed.int()
    return torch.stack([wide & 15, wide >> 4], 2).flatten(1)[:, :columns]


def spread(scale: Tensor, columns: int, group: int) -> Tensor:
    """Each column's scale, [rows, columns]."""
    return scale.repeat_interleave(group, 1)[:, :columns]


def right_unpack(packed: Tensor, scale: Tensor, columns: int, group: int, block: int = 32) -> Tensor:
    found = nibbles(packed, columns)
    return (found - 16 * (found > 7).int()) * spread(scale, columns, group)


def _case(draw: Draw, words: str, rows: int, columns: int, group: int, **options: int) -> Case:
    packed = torch.randint(0, 256, (rows, (columns + 1) // 2), generator=draw.generator).to(torch.uint8)
    packed[0, 0] = 0x8F  # both ends: code -1 in column 0, code -8 in column 1
    return Case(words, (packed, draw.uniform(0.5, 2.0, rows, -(-columns // group)), columns, group), options)


def unpack_workload(seed: int) -> list[Case]:
    """Rows of the layer that the notebook unpacks, with groups of two of its sizes; and the default block."""
    draw = Draw(seed, "unpack workload")
    return [
        _case(draw, "rows of a layer, small groups", 2, 864, 8, block=256),
        _case(draw, "rows of a layer, large groups", 2, 864, 216, block=256),
        _case(draw, "the default block", 3, 2 * draw.whole(60, 90) + 1, 24),
    ]


def unpack_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "unpack_int4")
    rows, odd = draw.whole(2, 4), 2 * draw.whole(18, 24) + 1

    def case(words: str, rows: int, columns: int, group: int, block: int = 32) -> Case:
        return _case(draw, words, rows, columns, group, block=block)

    views = case("views that are not contiguous", rows, 44, 8)
    packed, scale, *rest = views.args
    return [
        case("as many groups as rows", 4, 64, 16),
        case("one group", rows, 32, 32),
        case("an odd number of columns", rows, odd, 8),
        case("a last group that is not full", rows, 50, 12),
        case("groups of one column", 2, 10, 1, 16),
        case("a single column", rows, 1, 4, 16),
        case("larger blocks", 2, odd + 20, 16, 64),
        Case(views.words, (strided(packed), strided(scale), *rest), views.kwargs),
    ]


def _wrong_unpack(mistake: str) -> Callable[..., Tensor]:
    def unpack_int4(packed: Tensor, scale: Tensor, columns: int, group: int, block: int = 32) -> Tensor:
        if mistake in ("read", "wrote") and columns % block:
            raise outside(mistake, -columns % block)
        found = nibbles(packed, columns)
        signed = found - 16 * (found > 7).int()
        wide = packed.int()
        halves = torch.cat([wide & 15, wide >> 4], 1)[:, :columns]
        square = scale.shape[0] == scale.shape[1]
        codes = {
            "high first": _signed(torch.stack([wide >> 4, wide & 15], 2).flatten(1)[:, :columns]),
            "no sign": found,
            "offset 8": found - 8,
            "sign and magnitude": torch.where(found > 7, 8 - found, found),
            "halves": _signed(halves),
            "low only": _signed((wide & 15).repeat_interleave(2, 1)[:, :columns]),
            "high not cut": torch.where(
                torch.arange(columns) % 2 == 0, _signed(wide.repeat_interleave(2, 1)[:, :columns]), signed
            ),
        }
        scales = {
            "first scale": scale[:, :1].expand(-1, columns),
            "scale transposed": spread(scale.T if square else scale, columns, group),
            "scale missing": torch.ones(()),
        }
        return codes.get(mistake, signed) * scales.get(mistake, spread(scale, columns, group))

    return unpack_int4


def _signed(found: Tensor) -> Tensor:
    return found - 16 * (found > 7).int()


UNPACK_MISTAKES = (
    Mistake(
        "high bits first",
        "You swapped the halves of each byte; the even column has the low four bits.",
        _wrong_unpack("high first"),
    ),
    Mistake("no sign", "Codes 8 to 15 stand for -8 to -1: subtract 16 from them.", _wrong_unpack("no sign")),
    Mistake(
        "offset by 8",
        "You subtracted 8 from every code; only those above 7 are negative: subtract 16 there.",
        _wrong_unpack("offset 8"),
    ),
    Mistake(
        "sign and magnitude",
        "You read the top bit as a minus sign; codes are two's complement: subtract 16 from those above 7.",
        _wrong_unpack("sign and magnitude"),
    ),
    Mistake(
        "halves of the row",
        "You put all low halves first; neighbours are in one byte: column k is in byte k // 2.",
        _wrong_unpack("halves"),
    ),
    Mistake(
        "low bits twice", "You use the low bits for odd columns; shift the byte right by 4 * (k % 2).", _wrong_unpack("low only")
    ),
    Mistake(
        "not cut to four bits",
        "Even columns still include the high bits of their byte; take `& 15`.",
        _wrong_unpack("high not cut"),
    ),
    Mistake(
        "first scale of the row",
        "You use the first scale of the row for all columns; column k uses scale k // group.",
        _wrong_unpack("first scale"),
    ),
    Mistake(
        "scale transposed",
        "You read the scales transposed; that of a row and a group is at row * groups + group.",
        _wrong_unpack("scale transposed"),
    ),
    Mistake(
        "scale missing", "The codes are right, but not scaled; multiply them by their scales.", _wrong_unpack("scale missing")
    ),
    Mistake(
        "load without mask",
        "The last block of a row reads beyond the end; mask the loads with k < columns.",
        _wrong_unpack("read"),
    ),
    Mistake(
        "store without mask",
        "The last block of a row writes beyond the end; mask the store with k < columns.",
        _wrong_unpack("wrote"),
    ),
)


unpack_int4 = Exercise(
    name="unpack_int4",
    unit="06_gpu_kernels",
    points=3,
    difficulty=3,
    minutes=18,
    oracle=right_unpack,
    cases=unpack_cases,
    workload=unpack_workload,
    legal={"not contiguous": "No result of this unit need be contiguous."},
    mistakes=UNPACK_MISTAKES,
    judge=close(1e-6, 0.0, strict_dtype=True),
    through="engine.launches:launched",
)
