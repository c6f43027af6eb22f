"""Cases and known mistakes of `csr_matmul`: a product with the weights that are left.

Conventions that the notebook states in the same words: CSR as in scipy, x is [in, batch], the result [out, batch]. All values are small
whole numbers or eighths, so every order of summation gives the same float: results must be equal.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, eighths, strided, thinned, whole_floats

OUTSIDE = "index is out of bounds"


def csr(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """values, columns, row_pointers."""
    kept = weight != 0
    counts = torch.cat([torch.zeros(1, dtype=torch.long), kept.sum(1).cumsum(0)])
    return weight[kept], kept.nonzero()[:, 1].to(torch.int32), counts.to(torch.int32)


def _dense(values: Tensor, columns: Tensor, row_pointers: Tensor, k: int) -> Tensor:
    rows = torch.repeat_interleave(torch.arange(len(row_pointers) - 1), row_pointers.diff().long())
    return values.new_zeros(len(row_pointers) - 1, k).index_put_((rows, columns.long()), values)


def right_csr(values: Tensor, columns: Tensor, row_pointers: Tensor, x: Tensor) -> Tensor:
    """By the stored weights alone: an input that none of them reads may be infinite."""
    counts = row_pointers.diff().long()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return torch.zeros(len(counts), x.shape[1]).index_add(0, rows, values[:, None] * x[columns.long()])


def _pruned(draw: Draw, out: int, k: int, keep: float = 0.4) -> Tensor:
    """Some weights, at least one in the first and in the last row."""
    weight = whole_floats(draw, out, k) * (draw.uniform(0, 1, out, k) < keep)
    weight[[0, -1], [0, -1]] = 5.0
    return weight


def csr_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "csr_matmul")
    out, k, batch = draw.whole(6, 9), draw.whole(10, 15), draw.whole(2, 5)
    holes = _pruned(draw, out, k)
    holes[draw.whole(1, 2)], holes[4] = 0, 0
    edges = _pruned(draw, out, k)
    edges[0], edges[-1] = 0, 0
    edges[1, 0] = 3.0
    weight, x = _pruned(draw, 7, 6), whole_floats(draw, 6, 5)
    unread, infinite = _pruned(draw, 5, 6), whole_floats(draw, 6, 3)
    unread[:, 2], infinite[2] = 0, float("inf")

    def case(words: str, weight: Tensor, batch: int) -> Case:
        return Case(words, (*csr(weight), whole_floats(draw, weight.shape[1], batch)))

    return [
        case("no empty row", _pruned(draw, out, k) + torch.eye(out, k) * 10, batch),
        case("empty rows in the middle", holes, batch),
        case("as many outputs as inputs", _pruned(draw, k, k), batch),
        case("an empty first and last row", edges, batch),
        case("one input for each output", _pruned(draw, out, 1) + 10, batch),
        case("a single output", _pruned(draw, 1, k), batch),
        case("a single column of x", holes, 1),
        case("dense", _pruned(draw, 5, 6) + 20, 6),
        case("no weight at all", torch.zeros(3, 4), 2),
        Case("an infinite input that no weight reads", (*csr(unread), infinite)),
        Case("views that are not contiguous", (*csr(weight), strided(x))),
        Case("inputs of many thousands", (*csr(weight), 4096 * whole_floats(draw, 6, 5))),
        Case("a transposed view", (*csr(weight), whole_floats(draw, 4, 6).T)),
    ]


def csr_workload(seed: int) -> list[Case]:
    """A layer with a tenth of its weights, fractions (eighths: their sums are exact in any order), and a whole batch."""
    draw = Draw(seed, "csr workload")
    layer = thinned(draw, eighths(draw, 40, 512), 0.1)
    return [
        Case("a tenth of a layer, fractions, a batch of 64", (*csr(layer), eighths(draw, 512, 64))),
        Case("long rows, fractions", (*csr(thinned(draw, eighths(draw, 2, 1100), 0.6)), eighths(draw, 1100, 3))),
    ]


def _by_rows(first: int, last: int, assign: bool = False) -> Callable[..., Tensor]:
    """Row o from values[pointers[o] + first : pointers[o + 1] + last]; reading past the end is an IndexError."""

    def csr_matmul(values: Tensor, columns: Tensor, row_pointers: Tensor, x: Tensor) -> Tensor:
        out = x.new_zeros(len(row_pointers) - 1, x.shape[1])
        for row in range(len(out)):
            for j in range(int(row_pointers[row]) + first, int(row_pointers[row + 1]) + last):
                if j >= len(values):
                    raise IndexError(OUTSIDE)
                part = values[j] * x[int(columns[j])]
                out[row] = part if assign else out[row] + part
        return out

    return csr_matmul


def _csr_of(change: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda values, columns, row_pointers, x: change(right_csr(values, columns, row_pointers, x), columns, row_pointers, x)


def _transposed(values: Tensor, columns: Tensor, row_pointers: Tensor, x: Tensor) -> Tensor:
    """Adds row `row` of x to row `column` of the result; outside of them it is an IndexError."""
    weight = _dense(values, columns, row_pointers, len(x))
    if len(weight) > len(x) or (len(columns) and int(columns.max()) >= len(weight)):
        raise IndexError(OUTSIDE)
    return weight.T[: len(weight)] @ x[: len(weight)]


def _in_order(values: Tensor, columns: Tensor, row_pointers: Tensor, x: Tensor) -> Tensor:
    """x[0], x[1], ... in place of x[columns[j]]."""
    return right_csr(values, torch.cat([torch.arange(int(c)) for c in row_pointers.diff()]).to(torch.int32), row_pointers, x)


CSR_MISTAKES = (
    Mistake(
        "last value of each row",
        "You leave out the last value of each row; range already excludes its end, so the end is row_pointers[row + 1].",
        _by_rows(0, -1),
    ),
    Mistake(
        "first value of each row",
        "You leave out the first value of each row; it is at row_pointers[row].",
        _by_rows(1, 0),
    ),
    Mistake(
        "one value too many",
        "Your loops run past the end: values of a row end before row_pointers[row + 1], rows before len(row_pointers) - 1.",
        _by_rows(0, 1),
    ),
    Mistake(
        "overwritten",
        "Each value overwrites the result of its row; add up the products.",
        _by_rows(0, 0, assign=True),
    ),
    Mistake(
        "column ignored",
        "You multiply the values of a row with x[0], x[1], ...; value j is multiplied by row columns[j] of x.",
        _in_order,
    ),
    Mistake(
        "transposed",
        "You multiply with the transposed weight: columns[j] selects a row of x, not of the result.",
        _transposed,
    ),
    Mistake(
        "last output missing",
        "The last output stays 0; there are len(row_pointers) - 1 rows.",
        _csr_of(lambda y, columns, pointers, x: torch.cat([y[:-1], 0 * y[-1:]])),
    ),
    Mistake(
        "one output too many",
        "Your result has one row too many; row_pointers has one entry more than there are outputs.",
        _csr_of(lambda y, columns, pointers, x: torch.cat([y, 0 * y[:1]])),
    ),
    Mistake(
        "result transposed",
        "Your result is [batch, outputs]; return [outputs, batch].",
        _csr_of(lambda y, columns, pointers, x: y.T.contiguous()),
    ),
    Mistake(
        "uninitialised output",
        "Rows without weights contain old values from memory; create the result with zeros, not with empty.",
        _csr_of(lambda y, columns, pointers, x: torch.where(pointers.diff()[:, None] > 0, y, 1e9)),
    ),
    Mistake(
        "values ignored",
        "You add up the rows of x without their weights; multiply by values[j].",
        lambda values, columns, pointers, x: right_csr(torch.ones_like(values), columns, pointers, x),
    ),
    Mistake(
        "first column of x only",
        "You use only the first column of x; multiply each weight by the whole row x[columns[j]].",
        _csr_of(lambda y, columns, pointers, x: y[:, :1].expand(-1, x.shape[1]).contiguous()),
    ),
)


csr_matmul = Exercise(
    name="csr_matmul",
    unit="05_cpu_kernels",
    points=3,
    difficulty=3,
    minutes=12,
    oracle=right_csr,
    cases=csr_cases,
    workload=csr_workload,
    legal={"not contiguous": "No product of this unit need be contiguous."},
    mistakes=CSR_MISTAKES,
    judge=close(0.0, 0.0, strict_dtype=True),
    through="engine.authorship:own",
    library="pruning:csr_matmul kernels:sparse_linear",
)
