"""Cases and known mistakes of `to_csr` and `csr_matmul`: store and multiply only what is left.

Conventions that the notebook states in the same words, those of scipy: values row by row in order of their columns, whatever is not
exactly 0; `columns` and `row_pointers` int32, row_pointers [out + 1] from 0 to the number of values; the product is [out, batch].
The values of the products are small whole numbers, so every order of summation gives the same float: equal is asked for.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.cpu_kernels.whole import whole_floats
from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake
from posttrain_lab.checks.pruning.numbers import spread

Csr = tuple[Tensor, Tensor, Tensor]


def right_csr(weight: Tensor) -> Csr:
    values, columns, pointers = [], [], [0]
    for row in weight.tolist():
        kept = [(value, column) for column, value in enumerate(row) if value != 0]
        values += [value for value, _ in kept]
        columns += [column for _, column in kept]
        pointers.append(len(values))
    return (
        torch.tensor(values, dtype=weight.dtype),
        torch.tensor(columns, dtype=torch.int32),
        torch.tensor(pointers, dtype=torch.int32),
    )


def _pruned(draw: Draw, out: int, k: int, keep: float = 0.5) -> Tensor:
    """Some weights, at least one in the first and in the last row, and never in the first column of the first."""
    weight = spread(draw, out, k) * (draw.uniform(0, 1, out, k) < keep)
    weight[0, 0] = 0.0
    weight[[0, -1], [-1, 0]] = 5.0
    return weight


def csr_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "to_csr")
    out, k = draw.whole(5, 8), draw.whole(6, 9)
    holes = _pruned(draw, out, k)
    holes[draw.whole(1, 2)], holes[3] = 0, 0
    edges = _pruned(draw, out, k)
    edges[0], edges[-1] = 0, 0
    edges[1, 1] = 3.0
    tiny = _pruned(draw, out, k)
    tiny[1, 1], tiny[2, 0], tiny[0, 2] = 1e-30, -1e-12, -0.0
    return [
        Case("as many outputs as inputs", (_pruned(draw, k, k),)),
        Case("no empty row", (_pruned(draw, out, k) + 10 * torch.eye(out, k),)),
        Case("empty rows in the middle", (holes,)),
        Case("an empty first and last row", (edges,)),
        Case("tiny weights, and a zero with a sign", (tiny,)),
        Case("a single output", (_pruned(draw, 1, k),)),
        Case("a single input, float64", (spread(draw, out, 1).double(),)),
        Case("no weight at all", (torch.zeros(out, k),)),
        Case("nothing pruned", (spread(draw, 4, 5),)),
        Case("a transposed view", (_pruned(draw, k, out).T,)),
        Case("a view that is not contiguous", (strided(_pruned(draw, out, k)),)),
    ]


def _csr_of(change: Callable[[Tensor, Tensor, Tensor], Any]) -> Callable[[Tensor], Any]:
    return lambda weight: change(*right_csr(weight))


def _places(weight: Tensor) -> Any:
    rows, columns = weight.nonzero().T.to(torch.int32)
    return weight[weight != 0], columns.contiguous(), rows.contiguous()


def _padded(weight: Tensor) -> Csr:
    """Each row is filled up to the longest with explicit zeros."""
    longest = int((weight != 0).sum(1).max())
    kept = (-(weight != 0).float()).argsort(dim=1, stable=True)[:, :longest].sort(dim=1).values
    pointers = torch.arange(len(weight) + 1) * longest
    return weight.gather(1, kept).flatten(), kept.flatten().to(torch.int32), pointers.to(torch.int32)


def _everything(weight: Tensor) -> Csr:
    out, k = weight.shape
    columns, pointers = torch.arange(k).repeat(out), torch.arange(out + 1) * k
    return weight.flatten().clone(), columns.to(torch.int32), pointers.to(torch.int32)


CSR_MISTAKES = (
    Mistake(
        "first pointer missing",
        "row_pointers starts with 0, where the first row begins: one entry more than there are rows.",
        _csr_of(lambda values, columns, pointers: (values, columns, pointers[1:])),
    ),
    Mistake(
        "last pointer missing",
        "row_pointers ends with the number of values, where the last row ends: one entry more than there are rows.",
        _csr_of(lambda values, columns, pointers: (values, columns, pointers[:-1])),
    ),
    Mistake(
        "pointers from 1",
        "Your pointers count from 1; row 0 begins at value 0.",
        _csr_of(lambda values, columns, pointers: (values, columns, pointers + 1)),
    ),
    Mistake(
        "counts",
        "You return how many values each row has; add them up (cumsum), so that each says where a row begins.",
        _csr_of(lambda values, columns, pointers: (values, columns, pointers.diff(prepend=pointers[:1]))),
    ),
    Mistake(
        "row of each value",
        "You return the row of each value (the COO form); row_pointers has one entry for each row, and one more.",
        _places,
    ),
    Mistake(
        "columns first",
        "You went down the columns; that is the transposed weight: values go row by row.",
        lambda weight: right_csr(weight.T),
    ),
    Mistake(
        "zeros stored",
        "You store every number, the zeros too; only what is not 0 is stored.",
        _everything,
    ),
    Mistake(
        "rows filled up",
        "You fill short rows up with zeros; each row holds only what it has, and the pointers say how much.",
        _padded,
    ),
    Mistake(
        "row and column exchanged",
        "You return the row of each value where its column is wanted.",
        lambda weight: (right_csr(weight)[0], weight.nonzero()[:, 0].to(torch.int32), right_csr(weight)[2]),
    ),
    Mistake(
        "int64",
        "Your indices are int64 and take 8 bytes each; convert columns and row_pointers to int32.",
        _csr_of(lambda values, columns, pointers: (values, columns.long(), pointers.long())),
    ),
    Mistake(
        "pointers int64",
        "row_pointers is int64 (cumsum makes it so); convert it to int32 like the columns.",
        _csr_of(lambda values, columns, pointers: (values, columns, pointers.long())),
    ),
    Mistake(
        "columns int64",
        "columns is int64 (nonzero makes it so); convert it to int32 like the pointers.",
        _csr_of(lambda values, columns, pointers: (values, columns.long(), pointers)),
    ),
    Mistake(
        "tiny weights dropped",
        "You drop weights that are tiny but not 0; only an exact zero is left out.",
        lambda weight: right_csr(torch.where(weight.abs() > 1e-8, weight, 0.0)),
    ),
    Mistake(
        "magnitudes stored",
        "Your values have lost their signs; the weights themselves are stored.",
        _csr_of(lambda values, columns, pointers: (values.abs(), columns, pointers)),
    ),
    Mistake(
        "negative weights dropped",
        "You keep weights above 0 only; negative ones are weights too: compare with != 0.",
        lambda weight: right_csr(weight.clamp(min=0)),
    ),
    Mistake(
        "positions in the flat weight",
        "Your columns count through the whole weight; a column starts again at 0 in each row.",
        lambda weight: (right_csr(weight)[0], weight.reshape(-1).nonzero()[:, 0].to(torch.int32), right_csr(weight)[2]),
    ),
)


def _dense(csr: Csr, k: int) -> Tensor:
    values, columns, pointers = csr
    rows = torch.repeat_interleave(torch.arange(len(pointers) - 1), pointers.diff().long())
    return values.new_zeros(len(pointers) - 1, k).index_put_((rows, columns.long()), values)


def right_product(csr: Csr, x: Tensor) -> Tensor:
    return _dense(csr, len(x)) @ x


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
        "You multiply with the transposed weight: columns[j] picks a row of x, and the row of a value picks one of the result.",
        _transposed,
    ),
    Mistake(
        "last value of each row", "You leave out the last value of each row; a slice already leaves its end out.", _rows_by(0, -1)
    ),
    Mistake(
        "first value of each row", "You leave out the first value of each row; it stands at row_pointers[row].", _rows_by(1, 0)
    ),
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
        "You multiply the values of a row with x[0], x[1], ...; columns[j] says which row of x value j meets.",
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
        "There is a row too many; row_pointers has one entry more than there are outputs.",
        _product_of(lambda y, csr, x: torch.cat([y, 0 * y[:1]])),
    ),
    Mistake(
        "result transposed",
        "Your result is [batch, out]; [out, batch] is wanted.",
        _product_of(lambda y, csr, x: y.T.contiguous()),
    ),
    Mistake(
        "empty rows dropped",
        "Rows without weights are missing from your result; they are outputs too, all 0.",
        _product_of(lambda y, csr, x: y[csr[2].diff() > 0]),
    ),
    Mistake(
        "first column of x only",
        "Only the first column of x is used; each weight meets the whole row x[columns[j]].",
        _product_of(lambda y, csr, x: y[:, :1].expand(-1, x.shape[1]).contiguous()),
    ),
)
