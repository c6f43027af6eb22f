"""Cases and known mistakes of `row_quantize`: one program a row, which computes the maximum, the scale and the codes.

Conventions that the notebook states in the same words: a row of zeros gets scale 1; codes are floor(x / scale + 0.5). A scale takes one
division (1e-6). The cases have no quotients closer than 1e-3 to a tie, so that an approximate division gives the same codes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.kernels.gpu.interpreter import outside


def right_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    top = x.abs().amax(1)
    scale = torch.where(top == 0, torch.ones(()), top / 127)
    return torch.floor(x / scale[:, None] + 0.5).to(torch.int8), scale


def _rows(draw: Draw, rows: int, columns: int) -> Tensor:
    """Rows of very different size, quotients away from ties, the largest magnitude negative in every other row."""
    x = draw.normal(rows, columns) * torch.logspace(-2, 1, rows)[:, None]
    top, where = x.abs().max(1)
    x[torch.arange(rows), where] = top * (1 - 2 * (torch.arange(rows) % 2))
    steps = x / (top / 127)[:, None]
    near = ((steps - steps.floor()) - 0.5).abs() < 1e-3
    return torch.where(near, steps.floor() * (top / 127)[:, None], x)


def rows_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "row_quantize")
    side, columns = draw.whole(4, 6), draw.whole(17, 29)
    zeros = _rows(draw, 4, columns)
    zeros[draw.whole(0, 2)] = 0
    ties = (2.0 * draw.codes(-63, 62, 2, columns).float() + 1) / 2
    ties[:, 3] = 127.0
    return [
        Case("as many rows as columns", (_rows(draw, 8, 8),)),
        Case("an odd number of columns", (_rows(draw, side, columns),)),
        Case("columns that fill the block", (_rows(draw, side, 32),)),
        Case("a row of zeros", (zeros,)),
        Case("a single row", (_rows(draw, 1, columns + 8),)),
        Case("a single column", (_rows(draw, side, 1),)),
        Case("ties", (ties * draw.pick((0.25, 2.0)),)),
        Case("tiny numbers", (_rows(draw, 3, columns) * 1e-6,)),
        Case("a view that is not contiguous", (strided(_rows(draw, side, columns)),)),
    ]


def rows_workload(seed: int) -> list[Case]:
    """Rows as long as the features of the course's network, and rows far below those of a network that are no rows of zeros."""
    draw = Draw(seed, "row_quantize workload")
    far = torch.tensor([1e-30, 1e-20, 1e-13, 1e-9, 1.0, 1e9])[:, None]
    return [
        Case("rows as long as a layer has inputs", (_rows(draw, 5, 864),)),
        Case("rows of very different sizes", (_rows(draw, 6, 200) * far,)),
        Case("one long row", (_rows(draw, 1, draw.whole(1201, 1999)),)),
    ]


def _coded(x: Tensor, scale: Tensor) -> Tensor:
    return torch.floor(x / scale + 0.5).clamp(-128, 127).nan_to_num(0.0).to(torch.int8)


def _safe(top: Tensor, steps: float = 127) -> Tensor:
    return torch.where(top == 0, torch.ones(()), top / steps)


def _truncated(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = right_rows(x)[1]
    return (x / scale[:, None]).to(torch.int8), scale


def _floor_forgotten(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = right_rows(x)[1]
    return (x / scale[:, None] + 0.5).to(torch.int8), scale


def _signed(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = _safe(x.amax(1))
    return (torch.floor(x / scale[:, None] + 0.5).to(torch.int32) & 255).to(torch.uint8).view(torch.int8), scale


def _with_steps(steps: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def row_quantize(x: Tensor) -> tuple[Tensor, Tensor]:
        scale = _safe(x.abs().amax(1), steps)
        codes = torch.floor(x / scale[:, None] + 0.5).to(torch.int32)
        return ((codes + 128) % 256 - 128).to(torch.int8), scale

    return row_quantize


def _zero_divided(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = x.abs().amax(1) / 127
    return _coded(x, scale[:, None]), scale


def _one_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = _safe(x.abs().max())
    return _coded(x, scale), scale.expand(len(x)).clone()


def _lanes_beyond(x: Tensor) -> int:
    """Lanes beyond the end of a row, in a block of the next power of two."""
    return (1 << (x.shape[1] - 1).bit_length()) - x.shape[1]


def _rows_unmasked(what: str) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def row_quantize(x: Tensor) -> tuple[Tensor, Tensor]:
        if _lanes_beyond(x):
            raise outside(what, _lanes_beyond(x))
        return right_rows(x)

    return row_quantize


def _without_other(x: Tensor) -> tuple[Tensor, Tensor]:
    """The interpreter returns infinity for masked lanes when `other` is not given."""
    if _lanes_beyond(x):
        return torch.zeros(x.shape, dtype=torch.int8), torch.full((len(x),), torch.inf)
    return right_rows(x)


ROWS_MISTAKES = (
    Mistake(
        "largest without abs",
        "You took the largest number; the largest magnitude may be negative: take the maximum of tl.abs(x).",
        _signed,
    ),
    Mistake("truncates", "You cut off the fraction; add 0.5 and take tl.floor before the conversion to int8.", _truncated),
    Mistake(
        "floor forgotten",
        "You add 0.5 and convert, which cuts towards 0 and is wrong for negative numbers; take tl.floor before the conversion.",
        _floor_forgotten,
    ),
    Mistake(
        "127 missing", "Your scale is the maximum; divide it by 127, so that the largest magnitude gets code 127.", _with_steps(1)
    ),
    Mistake(
        "divided by 128",
        "You divided by 128, so the largest magnitude gets code 128, which int8 does not have; divide by 127.",
        _with_steps(128),
    ),
    Mistake(
        "row of zeros",
        "For a row of zeros you divide 0 by 0, which gives NaN; its scale is 1.0 (tl.where).",
        _zero_divided,
    ),
    Mistake("one scale for all", "All rows have the same scale; compute the maximum of its own row in each program.", _one_scale),
    Mistake(
        "load without mask",
        "Lanes beyond the end of the row read the next row; mask the load with k < columns, other=0.0.",
        _rows_unmasked("read"),
    ),
    Mistake(
        "masked lanes without other",
        "Masked lanes have undefined values and are included in the maximum; give tl.load other=0.0.",
        _without_other,
    ),
    Mistake(
        "store without mask",
        "You store codes beyond the end of the row; mask the store with k < columns.",
        _rows_unmasked("wrote"),
    ),
    Mistake(
        "inverse stored",
        "You stored 127 / maximum; the scale is the size of one step, maximum / 127.",
        lambda x: (right_rows(x)[0], 1 / right_rows(x)[1]),
    ),
)


row_quantize = Exercise(
    name="row_quantize",
    unit="06_gpu_kernels",
    points=3,
    difficulty=2,
    minutes=16,
    oracle=right_rows,
    cases=rows_cases,
    workload=rows_workload,
    legal={"not contiguous": "No result of this unit need be contiguous."},
    mistakes=ROWS_MISTAKES,
    judge=close(1e-06, 0.0, strict_dtype=True),
    through="engine.launches:launched",
)
