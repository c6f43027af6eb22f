"""Cases and known mistakes of `prediction_sets`: the classes whose nonconformity score is at most q.

Conventions that the notebook states in the same words:
- class k is in the set when 1 - probability <= q, equality included; bool [n, c]; q may be infinite, and a set may be empty.

1 - p and p - (1 - q) are rounded differently: scores equal q only for multiples of 1/8; in other cases they differ from q by at least 2e-6,
thirty steps of float32 below 1.
"""

import math

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_sets(probabilities: Tensor, q: float) -> Tensor:
    return torch.tensor([[1 - p <= q for p in row] for row in probabilities.tolist()])


def _rows(draw: Draw, n: int, classes: int, size: float = 2.0) -> Tensor:
    return draw.normal(n, classes, std=size).softmax(1)


def _clear(p: Tensor, q: float, by: float = 1e-3) -> float:
    """A q near the given one that differs from all scores by at least this much."""
    scores = (1 - p.double()).flatten()
    while (scores - q).abs().min() < by:
        q += 0.7 * by
    return q


def _around(draw: Draw, n: int, p: float, by: float = 0.002, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows of a probability that is this much or a little more above p, one as much below it, and the rest."""
    away = draw.uniform(by, 2.5 * by, n).to(dtype)
    return torch.stack([p + away, p - away, torch.full((n,), 1 - 2 * p, dtype=dtype)], 1)


def _eighths(draw: Draw, n: int, classes: int) -> Tensor:
    """Rows of multiples of 1/8 with the sum 1."""
    cuts = [[0, *sorted(draw.whole(0, 8) for _ in range(classes - 1)), 8] for _ in range(n)]
    return torch.tensor(cuts).diff(dim=1) / 8


def sets_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "prediction")
    n, side, classes = draw.whole(12, 25), draw.whole(4, 7), draw.whole(3, 6)
    p, unsure = _rows(draw, n, classes), _rows(draw, n, classes, 0.5)
    square = _rows(draw, side, side)
    eighths = torch.cat([_eighths(draw, n, 4), torch.tensor([[0.25, 0.5, 0.125, 0.125]])])
    return [
        Case("a q for which most sets have one class", (p, _clear(p, draw.real(0.6, 0.8)))),
        Case("as many examples as classes", (square, _clear(square, 0.7))),
        Case("an uncertain model: sets of several classes", (unsure, _clear(unsure, 0.85))),
        Case("a small q: some sets are empty", (p, _clear(p, 0.4))),
        Case("scores a little above and below q", (_around(draw, n, 0.3), 0.7)),
        Case("scores equal to q", (eighths, 0.75)),
        Case("scores equal to one half", (eighths, 0.5)),
        Case("a view that is not contiguous", (strided(p), _clear(p, 0.75))),
        Case("q is infinite: every class", (p, math.inf)),
        Case("q is 1: every class, probability 0 too", (eighths, 1.0)),
        Case("q is 0: certain answers only", (torch.cat([torch.eye(4), eighths]), 0.0)),
        Case("one example", (_rows(draw, 1, 5), 0.77)),
        Case("float64", (p.double(), _clear(p, 0.7))),
    ]


def sets_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "sets at work")
    many = _rows(draw, 1100, 10, 3.0)
    return [
        Case("1,100 examples, a q close to 1", (many, _clear(many, 1 - draw.real(0.002, 0.02), 2e-6))),
        Case("200 classes", (wide := _rows(draw, 12, 200, 3.0), _clear(wide, 1 - draw.real(0.002, 0.01), 2e-6))),
        Case("scores very close to q", (_around(draw, n := draw.whole(20, 30), 0.3, 1e-5), 0.7)),
        Case("scores very close to 1, and a q close to 1", (_around(draw, n, 0.0005, 1e-5), 0.9995)),
        Case("float64, scores closer to q than float32 can tell", (_around(draw, n, 0.3, 1e-9, torch.float64), 0.7)),
        Case("float64, probabilities below one millionth", (tiny := _millionths(draw, n), _clear(tiny, 1 - 5e-7, 1e-8))),
    ]


def _millionths(draw: Draw, n: int) -> Tensor:
    """Rows [n, 4] of one probability close to 1 and three below 1e-6, float64."""
    p = draw.uniform(1e-7, 9e-7, n, 4).double()
    p[:, 0] = 1 - p[:, 1:].sum(1)
    return p


def _score(p: Tensor) -> Tensor:
    return 1 - p.double()


def _never_empty(p: Tensor, q: float) -> Tensor:
    return right_sets(p, q) | (p == p.amax(1, keepdim=True))


def _all_where_empty(p: Tensor, q: float) -> Tensor:
    sets = right_sets(p, q)
    return sets | ~sets.any(1, keepdim=True)


def _at_most_one(p: Tensor, q: float) -> Tensor:
    return right_sets(p, q) & torch.nn.functional.one_hot(p.argmax(1), p.shape[1]).bool()


def _adding_up(p: Tensor, q: float) -> Tensor:
    """The most probable classes until their sum reaches q."""
    sorted_p, order = p.double().sort(1, descending=True)
    inside = sorted_p.cumsum(1) - sorted_p < q
    return torch.zeros_like(inside).scatter(1, order, inside)


def _of_the_largest(p: Tensor, q: float) -> Tensor:
    return _score(p / p.amax(1, keepdim=True)) <= q


SETS_MISTAKES = (
    Mistake(
        "strict inequality",
        "You leave out scores equal to q; use <=, or the coverage of conformal_quantile is not guaranteed.",
        lambda p, q: _score(p) < q,
    ),
    Mistake(
        "probability against q",
        "You compare the probability with q; compare the score, 1 - probability.",
        lambda p, q: p.double() >= q,
    ),
    Mistake(
        "improbable classes",
        "Your sets contain the classes with small probability; a class is in the set when its score 1 - p is at most q.",
        lambda p, q: p.double() <= q,
    ),
    Mistake(
        "turned round", "Your sets contain the classes with large scores; use those with 1 - p <= q.", lambda p, q: _score(p) >= q
    ),
    Mistake(
        "never empty",
        "You always keep the most probable class; a set may be empty, so use 1 - p <= q alone.",
        _never_empty,
    ),
    Mistake(
        "every class where none is left",
        "Where no class has 1 - p <= q you return all classes; a set may be empty, so use 1 - p <= q alone.",
        _all_where_empty,
    ),
    Mistake(
        "at most one class",
        "You keep the most probable class alone; every class with 1 - p <= q is in the set.",
        _at_most_one,
    ),
    Mistake(
        "added up",
        "You sum the largest probabilities until q is reached (APS, for other scores); compare each 1 - p with q.",
        _adding_up,
    ),
    Mistake(
        "divided by the largest",
        "You divide each row by its largest probability; compare the probabilities as they are.",
        _of_the_largest,
    ),
    Mistake(
        "softmax again",
        "You took the softmax of probabilities; use them as they are.",
        lambda p, q: _score(p.double().softmax(1)) <= q,
    ),
    Mistake(
        "infinite q",
        "When q is infinite you return empty sets; 1 - p <= q is true for every class then, so return all classes.",
        lambda p, q: right_sets(p, -1.0 if q == math.inf else q),
    ),
    Mistake(
        "transposed",
        "Your sets are [c, n]; return one row for each example, [n, c].",
        lambda p, q: right_sets(p, q).T.contiguous(),
    ),
    Mistake("numbers", "You return numbers; return the result of the comparison, bool.", lambda p, q: right_sets(p, q).float()),
    Mistake("sizes", "You return the sizes of the sets; return the sets, bool [n, c].", lambda p, q: right_sets(p, q).sum(1)),
)


prediction_sets = Exercise(
    name="prediction_sets",
    unit="04_calibration",
    points=1,
    difficulty=1,
    minutes=4,
    oracle=right_sets,
    cases=sets_cases,
    workload=sets_workload,
    legal={"not contiguous": "the result is `bool [n, c]`"},
    mistakes=SETS_MISTAKES,
    library="calibration:prediction_sets",
)
