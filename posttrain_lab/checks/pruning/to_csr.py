"""Cases and known mistakes of `to_csr`: store only the weights that are left.

Conventions that the notebook states in the same words, those of scipy: values row by row in order of their columns, all that are not
exactly 0 (also NaN and what float32 barely holds); `columns` and `row_pointers` int32, row_pointers [out + 1] from 0 to the number of values.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided, thinned
from posttrain_lab.checks.pruning.separated_weights import LARGE, neighbours, spread

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
    """Some weights, at least one in the first and in the last row, and the first is not in column 0."""
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
    tiny[1, 1], tiny[2, 0], tiny[0, 2], tiny[3, 3], tiny[4, 1] = 1e-30, -1e-12, -0.0, 1.5e-38, -1e-40
    odd = _pruned(draw, out, k)
    odd[1, 2], odd[2, 1], odd[3, 0] = torch.nan, torch.inf, -torch.inf
    return [
        Case("as many outputs as inputs", (_pruned(draw, k, k),)),
        Case("no empty row", (_pruned(draw, out, k) + 10 * torch.eye(out, k),)),
        Case("empty rows in the middle", (holes,)),
        Case("an empty first and last row", (edges,)),
        Case("tiny weights, and a zero with a sign", (tiny,)),
        Case("a broken weight, with NaN and infinities", (odd,)),
        Case("a single output", (_pruned(draw, 1, k),)),
        Case("a single input, float64", (neighbours(draw, out, 1),)),
        Case("no weight at all", (torch.zeros(out, k),)),
        Case("nothing pruned", (spread(draw, 4, 5),)),
        Case("a transposed view", (_pruned(draw, k, out).T,)),
        Case("a view that is not contiguous", (strided(_pruned(draw, out, k)),)),
    ]


def csr_workload(seed: int) -> list[Case]:
    """More weights are left than 16 bits count."""
    draw = Draw(seed, "csr workload")
    return [Case("the large layer of the network", (thinned(draw, ladder(draw, *LARGE, top=0.1), 0.7),))]


def _csr_of(change: Callable[[Tensor, Tensor, Tensor], Any]) -> Callable[[Tensor], Any]:
    return lambda weight: change(*right_csr(weight))


def _rows_of_values(weight: Tensor) -> Any:
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
        "Your row_pointers lacks the 0 at the start, where the first row begins; it has one entry more than there are rows.",
        _csr_of(lambda values, columns, pointers: (values, columns, pointers[1:])),
    ),
    Mistake(
        "last pointer missing",
        "Your row_pointers lacks the number of values at the end; it has one entry more than there are rows.",
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
        _rows_of_values,
    ),
    Mistake(
        "columns first",
        "You stored the values column by column, which is the transposed weight; store them row by row.",
        lambda weight: right_csr(weight.T),
    ),
    Mistake(
        "zeros stored",
        "You store every weight, also the zeros; store only the weights that are not 0.",
        _everything,
    ),
    Mistake(
        "rows filled up",
        "You pad short rows with zeros; store only the values of each row, and let the pointers say how many.",
        _padded,
    ),
    Mistake(
        "row and column exchanged",
        "You return the row of each value in `columns`; return its column.",
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
        "Your values have lost their signs; store the weights themselves.",
        _csr_of(lambda values, columns, pointers: (values.abs(), columns, pointers)),
    ),
    Mistake(
        "negative weights dropped",
        "You keep weights above 0 only; negative ones are weights too: compare with != 0.",
        lambda weight: right_csr(weight.clamp(min=0)),
    ),
    Mistake(
        "positions in the flat weight",
        "Your columns are indices of the flattened weight; count the columns from 0 in each row.",
        lambda weight: (right_csr(weight)[0], weight.reshape(-1).nonzero()[:, 0].to(torch.int32), right_csr(weight)[2]),
    ),
)


to_csr = Exercise(
    name="to_csr",
    unit="01_pruning",
    points=2,
    difficulty=3,
    minutes=10,
    oracle=right_csr,
    cases=csr_cases,
    mistakes=CSR_MISTAKES,
    judge=close(0.0, 0.0, strict_dtype=True),
    workload=csr_workload,
    legal={"not contiguous": "So may the results of this unit."},
    library="pruning:to_csr kernels:SparseWeight",
)
