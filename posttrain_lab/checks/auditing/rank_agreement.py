"""Cases and known mistakes of `rank_agreement`: do two maps order the pixels in the same way?

Conventions that the notebook states in the same words:
- a and b: float maps of one shape; the correlation of their ranks over all pixels (Spearman), from -1 to 1;
- equal values share the mean of their places; values are compared with their signs; a map whose values are all equal gives NaN;
- a plain float.

Ranks are exact in float32 up to thousands of pixels; their sums of squares are not, so the judge allows 1e-5.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided


def _ranks(x: Tensor, place: Callable[[int, int], float] = lambda first, last: (first + last) / 2) -> list[float]:
    """The place of each value in rising order; equal ones have the places first ... last."""
    values = x.flatten().tolist()
    rising = sorted(values)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for number, value in enumerate(rising):
        first.setdefault(value, number)
        last[value] = number
    return [place(first[value], last[value]) for value in values]


def _correlation(a: list[float], b: list[float]) -> float:
    a, b = ([v - math.fsum(x) / len(x) for v in x] for x in (a, b))
    size = math.sqrt(math.fsum(v * v for v in a) * math.fsum(v * v for v in b))
    return math.fsum(v * w for v, w in zip(a, b, strict=True)) / size if size > 1e-12 else math.nan


def right_agreement(a: Tensor, b: Tensor) -> float:
    return _correlation(_ranks(a), _ranks(b))


def _maps(draw: Draw, *shape: int, steps: float = 1000.0) -> tuple[Tensor, Tensor]:
    """Two maps that agree somewhat, of both signs; few steps make many equal values."""
    a, noise = draw.normal(*shape), draw.normal(*shape)
    return (a.sinh() * steps).round() / steps, ((0.6 * a + noise) * steps).round() / steps


def agreement_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "agreement")
    h, w = draw.whole(5, 8), draw.whole(4, 7)
    a, b = _maps(draw, h, w)
    ties = _maps(draw, h, w, steps=1.0)
    sparse = draw.uniform(0, 1, 2, h, w) < 0.5
    return [
        Case("two maps", (a, b)),
        Case("many equal values", ties),
        Case("half of the pixels are exactly 0", (a * sparse[0], b * sparse[1])),
        Case("a view that is not contiguous", (strided(a), strided(b))),
        Case("the same order", (a, a.exp())),
        Case("the opposite order", (a, -a)),
        Case("signs that disagree", (a, a.abs())),
        Case("a constant map", (torch.full((h, w), 0.5), b)),
        Case("the other one is constant", (a, torch.zeros(h, w))),
        Case("a single pixel", (torch.tensor([[1.5]]), torch.tensor([[2.5]]))),
        Case("a row of values, by name", (), {"a": ties[0].flatten(), "b": ties[1].flatten()}),
        Case("two values", (torch.tensor([1.0, 2.0]), torch.tensor([5.0, 3.0]))),
        Case("three channels", _maps(draw, 3, h, w)),
    ]


def agreement_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "agreement at work")
    a, b = _maps(draw, 28, 28)
    empty = draw.uniform(0, 1, 28, 28) < 0.4
    fine = ladder(draw, 28, 28)
    return [
        Case("28 x 28 pixels", (a, b)),
        Case("28 x 28 pixels, 40 % of them empty in both", (a.masked_fill(empty, 0), b.masked_fill(empty, 0))),
        Case("small values that differ a little", (1e-8 * fine, fine + 0.3 * ladder(draw, 28, 28))),
        Case("large values", (1e6 * fine, 1e4 * a)),
        Case("float64, differences that float32 does not see", (1 + 1e-10 * fine.double(), b.double())),
        Case("1,100 values", _maps(draw, 1100)),
    ]


def _only_the_order_counts(call: Call, seed: int) -> str | None:
    a, b = _maps(Draw(seed, "agreement law"), 6, 5)
    there, other = call(a, b), call(3 * a.double() - 2, b.double() ** 3)
    return (
        None if abs(there - other) < 1e-5 else f"values that are stretched keep their order, but {there:.4g} became {other:.4g}."
    )


def _with(ranks: Callable[[Tensor], list[float]]) -> Callable[[Tensor, Tensor], float]:
    return lambda a, b: _correlation(ranks(a), ranks(b))


def _kendall(a: Tensor, b: Tensor) -> float:
    x, y = ((v.flatten()[:, None] - v.flatten()).double().sign() for v in (a, b))
    size = math.sqrt(float(x.square().sum() * y.square().sum()))
    return float((x * y).sum()) / size if size else math.nan


def _formula(a: Tensor, b: Tensor) -> float:
    """1 - 6 sum d^2 / (n (n^2 - 1)), which holds without ties only."""
    n = a.numel()
    if n < 2 or a.unique().numel() == 1 or b.unique().numel() == 1:
        return math.nan
    gap = math.fsum((x - y) ** 2 for x, y in zip(_ranks(a), _ranks(b), strict=True))
    return 1 - 6 * gap / (n * (n * n - 1))


def _row_by_row(a: Tensor, b: Tensor) -> float:
    rows = [right_agreement(x, y) for x, y in zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True)]
    return math.fsum(rows) / len(rows)


def _cosine(a: Tensor, b: Tensor) -> float:
    x, y = (torch.tensor(_ranks(v)) + 1 for v in (a, b))
    return float(x @ y / (x.norm() * y.norm()))


AGREEMENT_MISTAKES = (
    Mistake(
        "Pearson",
        "You correlate the values, so a few large ones decide; correlate their ranks.",
        _with(lambda x: x.double().flatten().tolist()),
    ),
    Mistake(
        "ties by place",
        "Equal values get different ranks by where they stand; give each of them the mean of their places.",
        _with(lambda x: x.flatten().argsort(stable=True).argsort().double().tolist()),
    ),
    Mistake(
        "ties as they come",
        "Equal values get different ranks, in the order in which argsort leaves them; give each of them the mean of their places.",
        _with(lambda x: x.flatten().argsort().argsort().double().tolist()),
    ),
    Mistake(
        "argsort once",
        "You correlate what argsort returns: it says where each rank stands, and not which rank each value has.",
        _with(lambda x: x.flatten().argsort(stable=True).double().tolist()),
    ),
    Mistake(
        "lowest place of ties",
        "Equal values all get the first of their places; give each of them the mean of their places.",
        _with(lambda x: _ranks(x, lambda first, last: first)),
    ),
    Mistake(
        "highest place of ties",
        "Equal values all get the last of their places; give each of them the mean of their places.",
        _with(lambda x: _ranks(x, lambda first, last: last)),
    ),
    Mistake(
        "ranks without gaps",
        "You number the different values; a value that occurs three times takes three places.",
        _with(lambda x: x.unique(return_inverse=True)[1].flatten().double().tolist()),
    ),
    Mistake(
        "absolute values first",
        "You take absolute values before ranking, so a pixel that speaks against the class counts as one for it; keep the signs.",
        lambda a, b: right_agreement(a.abs(), b.abs()),
    ),
    Mistake(
        "absolute result",
        "You return the absolute value; -1, the opposite order, is not the same order.",
        lambda a, b: abs(right_agreement(a, b)),
    ),
    Mistake(
        "squared", "You return the square; return the correlation itself, with its sign.", lambda a, b: right_agreement(a, b) ** 2
    ),
    Mistake(
        "0 for a constant map",
        "A constant map has no order, so its agreement is not defined; return NaN, not 0.",
        lambda a, b: 0.0 if math.isnan(found := right_agreement(a, b)) else found,
    ),
    Mistake(
        "1 for a constant map",
        "A constant map has no order, so its agreement is not defined; return NaN, not 1.",
        lambda a, b: 1.0 if math.isnan(found := right_agreement(a, b)) else found,
    ),
    Mistake(
        "formula without ties",
        "You use 1 - 6 sum d^2 / (n (n^2 - 1)), which is right only without equal values; correlate the ranks.",
        _formula,
    ),
    Mistake("Kendall", "You compare pairs of pixels (Kendall); correlate the ranks (Spearman).", _kendall),
    Mistake(
        "row by row",
        "You average over the rows of the maps; rank all pixels of a map together.",
        _row_by_row,
    ),
    Mistake("mean not subtracted", "You do not subtract the mean of the ranks; a correlation does.", _cosine),
    Mistake("tensor", "You return a tensor; return a plain float.", lambda a, b: torch.tensor(right_agreement(a, b))),
)


rank_agreement = Exercise(
    name="rank_agreement",
    unit="07_auditing",
    points=2,
    difficulty=3,
    minutes=8,
    oracle=right_agreement,
    cases=agreement_cases,
    workload=agreement_workload,
    mistakes=AGREEMENT_MISTAKES,
    judge=close(1e-5, 1e-5),
    laws=(Law("only the order counts", _only_the_order_counts),),
    library="auditing:rank_agreement",
)
