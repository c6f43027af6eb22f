"""Cases and known mistakes of `conformal_quantile` and `prediction_sets`: how many classes must be named to keep a promise?

Conventions that the notebook states in the same words:
- a score is 1 - probability of the true class: large is strange;
- conformal_quantile is the k-th smallest score, k = ceil((n + 1)(1 - alpha)), a plain float; infinity when k > n;
- prediction_sets: class k is in the set when 1 - probability <= q, equality included; bool [n, c]; q may be infinite.

ceil meets rounded products: (n + 1)(1 - alpha) is a whole number only for alphas that are binary fractions, elsewhere it keeps 0.05 away.
1 - p and p - (1 - q) round differently: probabilities meet q exactly only in eighths, elsewhere they keep 0.001 away.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake


def _rank(n: int, alpha: float) -> int:
    return math.ceil((n + 1) * (1 - Fraction(alpha).limit_denominator(1000)))


def right_quantile(scores: Tensor, alpha: float) -> float:
    """The score that at least k scores do not exceed, by counting."""
    rank, values = _rank(len(scores), alpha), scores.tolist()
    return next((s for s in sorted(values) if sum(other <= s for other in values) >= rank), math.inf)


def _size(draw: Draw, alpha: float, low: int, high: int) -> int:
    """A number of examples where (n + 1)(1 - alpha) is far from whole, and where plain roundings of n (1 - alpha) differ from it."""
    while True:
        n = draw.whole(low, high)
        if 0.05 < (n + 1) * (1 - alpha) % 1 < 0.95 and _rank(n, alpha) != math.ceil(n * (1 - alpha)) and _rank(n, alpha) < n:
            return n


def _scores(draw: Draw, n: int) -> Tensor:
    return draw.uniform(0.02, 0.98, n) ** 2


def quantile_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "conformal")
    n, few, many = _size(draw, 0.1, 25, 60), _size(draw, 0.3, 8, 20), _size(draw, 0.05, 100, 200)
    scores = _scores(draw, n)
    quarter = 4 * draw.whole(3, 8) - 1
    tied = draw.codes(0, 3, n).float() / 4
    return [
        Case("a promise of 70 %", (_scores(draw, few), 0.3)),
        Case("a promise of 90 %", (scores, 0.1)),
        Case("a promise of 95 %", (_scores(draw, many), 0.05)),
        Case("alpha by name, a view that is not contiguous", (strided(scores),), {"alpha": 0.1}),
        Case("a rank that is a whole number", (_scores(draw, quarter), 0.25)),
        Case("a rank that is n exactly", (_scores(draw, 7), 0.125)),
        Case("so few examples that no score is large enough", (_scores(draw, draw.whole(3, 8)), 0.1)),
        Case("one example and a promise of one half", (_scores(draw, 1), 0.5)),
        Case("one example and a promise of 90 %", (_scores(draw, 1), 0.1)),
        Case("many equal scores", (tied, 0.2 if _far(n, 0.2) else 0.25)),
        Case("a promise of 20 %", (scores, 0.8) if _far(n, 0.8) else (scores, 0.75)),
        Case("float64 scores", (scores.double(), 0.1)),
    ]


def _far(n: int, alpha: float) -> bool:
    return 0.05 < (n + 1) * (1 - alpha) % 1 < 0.95


def _ranked(rank: Callable[[int, float], int], beyond: float = math.inf) -> Callable[[Tensor, float], float]:
    """The score of another rank (1 is the smallest); `beyond` above n."""

    def quantile(scores: Tensor, alpha: float) -> float:
        k = rank(len(scores), alpha)
        return beyond if k > len(scores) else scores.sort().values[max(k, 1) - 1].item()

    return quantile


def _capped(scores: Tensor, alpha: float) -> float:
    return scores.sort().values[min(_rank(len(scores), alpha), len(scores)) - 1].item()


def _interpolated(scores: Tensor, alpha: float) -> float:
    return scores.double().quantile(min(1.0, _rank(len(scores), alpha) / len(scores))).item()


def _corrected_interpolated(scores: Tensor, alpha: float) -> float:
    level = (len(scores) + 1) * (1 - alpha) / len(scores)
    return math.inf if level > 1 else scores.double().quantile(level).item()


def _next_higher(scores: Tensor, alpha: float) -> float:
    level = _rank(len(scores), alpha) / len(scores)
    return math.inf if level > 1 else scores.double().quantile(level, interpolation="higher").item()


def _unsorted(scores: Tensor, alpha: float) -> float:
    k = _rank(len(scores), alpha)
    return math.inf if k > len(scores) else scores[k - 1].item()


QUANTILE_MISTAKES = (
    Mistake(
        "plain quantile",
        "That is the plain 1 - alpha quantile of the scores; the new example counts too: take rank ceil((n + 1)(1 - alpha)).",
        lambda scores, alpha: scores.double().quantile(1 - alpha).item(),
    ),
    Mistake(
        "n instead of n + 1",
        "Your rank is ceil(n (1 - alpha)); the new example makes it n + 1.",
        _ranked(lambda n, alpha: math.ceil(n * (1 - alpha) - 1e-9)),
    ),
    Mistake(
        "interpolated",
        "You interpolate between two scores; take the k-th smallest score itself.",
        _interpolated,
    ),
    Mistake(
        "interpolated at (n + 1)(1 - alpha) / n",
        "You interpolate at the corrected level, which can fall below the k-th smallest score; take that score itself.",
        _corrected_interpolated,
    ),
    Mistake(
        "next higher quantile",
        "quantile(k / n) with 'higher' gives the rank above k, as its levels run from 0 to 1 in n - 1 steps; sort, and take the k-th.",
        _next_higher,
    ),
    Mistake(
        "rounded down",
        "You round the rank down; the promise needs it rounded up (ceil).",
        _ranked(lambda n, alpha: math.floor((n + 1) * (1 - alpha) + 1e-9)),
    ),
    Mistake(
        "one rank too far",
        "Your rank is one too high: Python counts from 0, so the k-th smallest is sorted[k - 1].",
        _ranked(lambda n, alpha: _rank(n, alpha) + 1),
    ),
    Mistake(
        "rank rounded",
        "You round the rank to the nearest whole number; the promise needs it rounded up (ceil).",
        _ranked(lambda n, alpha: round((n + 1) * (1 - alpha))),
    ),
    Mistake(
        "alpha instead of 1 - alpha",
        "You take the rank of alpha; alpha is the share that may be missed, so 1 - alpha must lie below.",
        _ranked(lambda n, alpha: _rank(n, 1 - alpha)),
    ),
    Mistake(
        "largest first",
        "You count from the largest score; the k-th smallest is wanted.",
        lambda scores, alpha: (
            (-scores).sort().values.neg().tolist()[k - 1] if (k := _rank(len(scores), alpha)) <= len(scores) else math.inf
        ),
    ),
    Mistake("not sorted", "You take the score at place k without sorting.", _unsorted),
    Mistake(
        "largest score when too few",
        "When k > n you return the largest score; no score is large enough then, so the answer is infinity.",
        _capped,
    ),
    Mistake(
        "one when too few",
        "When k > n you return 1; say infinity, which holds for scores of any kind.",
        _ranked(_rank, beyond=1.0),
    ),
    Mistake(
        "half of alpha",
        "You use alpha / 2, as for two-sided intervals; strangeness has one side.",
        _ranked(lambda n, alpha: _rank(n, alpha / 2)),
    ),
    Mistake(
        "rank returned",
        "You return the rank k; the score at that rank is wanted.",
        lambda scores, alpha: float(_rank(len(scores), alpha)) if _rank(len(scores), alpha) <= len(scores) else math.inf,
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda scores, alpha: torch.tensor(right_quantile(scores, alpha)),
    ),
)


# ---- prediction_sets
def right_sets(probabilities: Tensor, q: float) -> Tensor:
    return torch.tensor([[1 - p <= q for p in row] for row in probabilities.tolist()])


def _rows(draw: Draw, n: int, classes: int, size: float = 2.0) -> Tensor:
    return draw.normal(n, classes, std=size).softmax(1)


def _clear(p: Tensor, q: float) -> float:
    """A q near the one given from which all scores keep 0.001 away."""
    scores = (1 - p.double()).flatten()
    while (scores - q).abs().min() < 1e-3:
        q += 7e-4
    return q


def _eighths(draw: Draw, n: int, classes: int) -> Tensor:
    """Rows of eighths with the sum 1."""
    cuts = [[0, *sorted(draw.whole(0, 8) for _ in range(classes - 1)), 8] for _ in range(n)]
    return torch.tensor(cuts).diff(dim=1) / 8


def sets_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "prediction")
    n, side, classes = draw.whole(12, 25), draw.whole(4, 7), draw.whole(3, 6)
    p, unsure = _rows(draw, n, classes), _rows(draw, n, classes, 0.5)
    square = _rows(draw, side, side)
    eighths = torch.cat([_eighths(draw, n, 4), torch.tensor([[0.25, 0.5, 0.125, 0.125]])])
    return [
        Case("a q that most sets of one class meet", (p, _clear(p, draw.real(0.6, 0.8)))),
        Case("as many examples as classes", (square, _clear(square, 0.7))),
        Case("an unsure model: sets of several classes", (unsure, _clear(unsure, 0.85))),
        Case("a small q: some sets are empty", (unsure, _clear(unsure, 0.4))),
        Case("scores that are q exactly", (eighths, 0.75)),
        Case("scores that are one half exactly", (eighths, 0.5)),
        Case("a view that is not contiguous", (strided(p), _clear(p, 0.75))),
        Case("q is infinite: every class", (p, math.inf)),
        Case("q is 1: every class, probability 0 too", (eighths, 1.0)),
        Case("q is 0: certain answers only", (torch.cat([torch.eye(4), eighths]), 0.0)),
        Case("one example", (_rows(draw, 1, 5), 0.77)),
        Case("float64", (p.double(), _clear(p, 0.7))),
    ]


def _score(p: Tensor) -> Tensor:
    return 1 - p.double()


def _never_empty(p: Tensor, q: float) -> Tensor:
    return right_sets(p, q) | (p == p.amax(1, keepdim=True))


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
        "A score of exactly q is in: use <=, or the promise of conformal_quantile is broken.",
        lambda p, q: _score(p) < q,
    ),
    Mistake(
        "probability against q",
        "You compare the probability with q; q is a bound for the score, 1 - probability.",
        lambda p, q: p.double() >= q,
    ),
    Mistake(
        "improbable classes",
        "Your sets hold the classes with small probability; a class is in when its score 1 - p is at most q.",
        lambda p, q: p.double() <= q,
    ),
    Mistake("turned round", "Your sets hold the strange classes; keep those with 1 - p <= q.", lambda p, q: _score(p) >= q),
    Mistake(
        "never empty",
        "You always keep the most probable class; a set may be empty, and the rule is 1 - p <= q alone.",
        _never_empty,
    ),
    Mistake(
        "at most one class",
        "You keep the most probable class alone; every class with 1 - p <= q is in.",
        _at_most_one,
    ),
    Mistake(
        "added up",
        "You add up the most probable classes until q is reached (that is APS, for other scores); compare each 1 - p with q.",
        _adding_up,
    ),
    Mistake(
        "divided by the largest",
        "You divide each row by its largest probability; compare the probabilities as they are.",
        _of_the_largest,
    ),
    Mistake(
        "softmax again",
        "You took the softmax of probabilities; they come in as probabilities already.",
        lambda p, q: _score(p.double().softmax(1)) <= q,
    ),
    Mistake(
        "infinite q",
        "When q is infinite you return empty sets; then nothing is promised by any score, so every class is in.",
        lambda p, q: right_sets(p, -1.0 if q == math.inf else q),
    ),
    Mistake(
        "transposed",
        "Your sets are [c, n]; one row for each example is wanted, [n, c].",
        lambda p, q: right_sets(p, q).T.contiguous(),
    ),
    Mistake(
        "numbers", "You return numbers; the comparison itself is what is wanted, bool.", lambda p, q: right_sets(p, q).float()
    ),
    Mistake("sizes", "You return the sizes of the sets; the sets are wanted, bool [n, c].", lambda p, q: right_sets(p, q).sum(1)),
)
