"""Cases and known mistakes of `csr_matmul`: multiply only the weights that are left.

Conventions that the notebook states in the same words, those of scipy: CSR as `to_csr` makes it, x [in, batch]; the product is
[out, batch], everything is float32. The values are small whole numbers or fractions of 8, so every order of summation gives the same
float: results must be equal. Only stored weights are multiplied: an input that no weight reads may be infinite.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, eighths, strided, thinned, whole_floats
from posttrain_lab.checks.pruning.to_csr import Csr, right_csr


def _rows(pointers: Tensor) -> Tensor:
    """The row of each value."""
    return torch.repeat_interleave(torch.arange(len(pointers) - 1), pointers.diff().long())


def _dense(csr: Csr, k: int) -> Tensor:
    values, columns, pointers = csr
    return values.new_zeros(len(pointers) - 1, k).index_put_((_rows(pointers), columns.long()), values)


def right_product(csr: Csr, x: Tensor) -> Tensor:
    values, columns, pointers = csr
    y = torch.zeros(len(pointers) - 1, x.shape[1], dtype=torch.float64)
    return y.index_add(0, _rows(pointers), values[:, None].double() * x[columns.long()].double()).float()


def product_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "csr_matmul")
    out, k, batch = draw.whole(6, 9), draw.whole(10, 15), draw.whole(2, 5)

    def case(words: str, weight: Tensor, x: Tensor) -> Case:
        return Case(words, (right_csr(weight), x))

    def some(rows: int, columns: int) -> Tensor:
        weight = whole_floats(draw, rows, columns) * (draw.uniform(0, 1, rows, columns) < 0.4)
        weight[[0, -1], [0, -1]] = 5.0
        return weight

    holes, edges = some(out, k), some(out, k)
    holes[draw.whole(1, 2)], holes[4], edges[0], edges[-1] = 0, 0, 0, 0
    edges[1, 0] = 3.0
    return [
        case("as many inputs as outputs, as many columns of x", some(k, k), whole_floats(draw, k, k)),
        case("no empty row", some(out, k) + 10 * torch.eye(out, k), whole_floats(draw, k, batch)),
        case("empty rows in the middle", holes, whole_floats(draw, k, batch)),
        case("an empty first and last row", edges, whole_floats(draw, k, batch)),
        case("a single output", some(1, k), whole_floats(draw, k, batch)),
        case("a single column of x", holes, whole_floats(draw, k, 1)),
        case("dense", some(5, 6) + 20, whole_floats(draw, 6, 6)),
        case("no weight at all", torch.zeros(3, 4), whole_floats(draw, 4, 2)),
        case("a transposed view of x", some(out, k), whole_floats(draw, batch, k).T),
        case("a view of x that is not contiguous", some(out, k), strided(whole_floats(draw, k, batch))),
    ]


def product_workload(seed: int) -> list[Case]:
    """A layer of the break-even map; numbers that 16 bits cannot hold; rows of very different size."""
    draw = Draw(seed, "product workload")
    unread, x = thinned(draw, whole_floats(draw, 8, 11), 0.5), whole_floats(draw, 11, 3)
    column = draw.whole(2, 8)
    unread[:, column], x[column] = 0.0, torch.tensor([torch.inf, -torch.inf, torch.nan])
    uneven = thinned(draw, eighths(draw, 9, 12), 0.6) * torch.tensor([2.0**22, *[1.0] * 8])[:, None]
    weight, batch = thinned(draw, eighths(draw, 300, 256), 0.3), eighths(draw, 256, 33, most=2000)
    return [
        Case("a layer of 256 inputs with fractions", (right_csr(weight), batch)),
        Case("a first row of huge weights", (right_csr(uneven), eighths(draw, 12, 4))),
        Case("an input that no weight reads is infinite", (right_csr(unread), x)),
    ]


def _product_of(change: Callable[[Tensor, Csr, Tensor], Any]) -> Callable[[Csr, Tensor], Any]:
    return lambda csr, x: change(right_product(csr, x), csr, x)


def _rows_by(first: int, last: int, assign: bool = False) -> Callable[[Csr, Tensor], Tensor]:
    """Row o from values[pointers[o] + first : pointers[o + 1] + last]."""

    def csr_matmul(csr: Csr, x: Tensor) -> Tensor:
        values, columns, pointers = csr
        out = x.new_zeros(len(pointers) - 1, x.shape[1])
        for row in range(len(out)):
            for j in range(int(pointers[row]) + first, min(len(values), int(pointers[row + 1]) + last)):
                part = values[j] * x[int(columns[j])]
                out[row] = part if assign else out[row] + part
        return out

    return csr_matmul


def _in_order(csr: Csr, x: Tensor) -> Tensor:
    """x[0], x[1], ... in place of x[columns[j]]."""
    return right_product((csr[0], torch.cat([torch.arange(int(c)) for c in csr[2].diff()]), csr[2]), x)


def _transposed(csr: Csr, x: Tensor) -> Tensor:
    return _dense(csr, len(x)).T @ x


PRODUCT_MISTAKES = (
    Mistake(
        "transposed",
        "You multiply with the transposed weight: columns[j] selects a row of x, and the row of a value selects a row of the result.",
        _transposed,
    ),
    Mistake(
        "last value of each row", "You leave out the last value of each row; a slice already leaves its end out.", _rows_by(0, -1)
    ),
    Mistake("first value of each row", "You leave out the first value of each row; it is at row_pointers[row].", _rows_by(1, 0)),
    Mistake(
        "one value too many",
        "You take one value too many in each row; row_pointers[row + 1] belongs to the next row.",
        _rows_by(0, 1),
    ),
    Mistake(
        "overwritten",
        "Values of one row overwrite each other (y[rows] += ... adds once for each row); add all up: index_add, or += in a loop.",
        _rows_by(0, 0, assign=True),
    ),
    Mistake(
        "column ignored",
        "You multiply the values of a row with x[0], x[1], ...; value j is multiplied by row columns[j] of x.",
        _in_order,
    ),
    Mistake(
        "values ignored",
        "You add up rows of x without their weights; multiply each by values[j].",
        lambda csr, x: right_product((torch.ones_like(csr[0]), csr[1], csr[2]), x),
    ),
    Mistake(
        "last output missing",
        "The last output stays 0; there are len(row_pointers) - 1 rows.",
        _product_of(lambda y, csr, x: torch.cat([y[:-1], 0 * y[-1:]])),
    ),
    Mistake(
        "one output too many",
        "Your result has one row too many; row_pointers has one entry more than there are outputs.",
        _product_of(lambda y, csr, x: torch.cat([y, 0 * y[:1]])),
    ),
    Mistake(
        "dense product",
        "You multiply the zeros too, which costs time and makes NaN of an infinite input; multiply only the stored values.",
        lambda csr, x: _dense(csr, len(x)) @ x,
    ),
    Mistake(
        "result transposed",
        "Your result is [batch, out]; return [out, batch].",
        _product_of(lambda y, csr, x: y.T.contiguous()),
    ),
    Mistake(
        "empty rows dropped",
        "Rows without weights are missing from your result; they are outputs too, and they are 0.",
        _product_of(lambda y, csr, x: y[csr[2].diff() > 0]),
    ),
    Mistake(
        "first column of x only",
        "You use only the first column of x; multiply each weight by the whole row x[columns[j]].",
        _product_of(lambda y, csr, x: y[:, :1].expand(-1, x.shape[1]).contiguous()),
    ),
)


csr_matmul = Exercise(
    name="csr_matmul",
    unit="01_pruning",
    points=2,
    difficulty=3,
    minutes=10,
    oracle=right_product,
    cases=product_cases,
    mistakes=PRODUCT_MISTAKES,
    judge=close(0.0, 0.0, strict_dtype=True),
    workload=product_workload,
    legal={"not contiguous": "So may the results of this unit."},
    library="pruning:csr_matmul kernels:SparseWeight",
)
