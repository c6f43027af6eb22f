"""Cases and known mistakes of `conformal_quantile`: which strangeness does a new example exceed only rarely?

Conventions that the notebook states in the same words:
- a score is 1 - probability of the true class: large is strange;
- conformal_quantile is the k-th smallest score, k = ceil((n + 1)(1 - alpha)), a plain float; infinity when k > n.

ceil meets rounded products: (n + 1)(1 - alpha) is a whole number only for alphas that are binary fractions, elsewhere it keeps 0.05 away.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def _rank(n: int, alpha: float) -> int:
    return math.ceil((n + 1) * (1 - Fraction(alpha).limit_denominator(1000)))


def right_quantile(scores: Tensor, alpha: float) -> float:
    """The score that at least k scores do not exceed, by counting."""
    rank, values = _rank(len(scores), alpha), scores.tolist()
    return next((s for s in sorted(values) if sum(other <= s for other in values) >= rank), math.inf)


def _size(draw: Draw, alpha: float, low: int, high: int, most: float = 0.95) -> int:
    """A number of examples where (n + 1)(1 - alpha) is far from whole, and where plain roundings of n (1 - alpha) differ from it.

    `most` bounds the fraction that is rounded up; below one half, rounding to the nearest differs too.
    """
    while True:
        n = draw.whole(low, high)
        if 0.05 < (n + 1) * (1 - alpha) % 1 < most and _rank(n, alpha) != math.ceil(n * (1 - alpha)) and _rank(n, alpha) < n:
            return n


def _scores(draw: Draw, n: int) -> Tensor:
    return draw.uniform(0.02, 0.98, n) ** 2


def quantile_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "conformal")
    n, few, many = _size(draw, 0.1, 25, 60), _size(draw, 0.3, 8, 20, most=0.45), _size(draw, 0.05, 100, 200)
    scores = _scores(draw, n)
    quarter = 4 * draw.whole(3, 8) - 1
    tied = torch.bucketize(draw.uniform(0, 1, n), torch.tensor([0.0, 0.55, 0.87, 0.97])) / 4  # mostly 0.25 and 0.5
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
        Case("a promise of one quarter", (_scores(draw, 4 * draw.whole(8, 15) + 1), 0.75)),
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
        "infinite at n already",
        "When k = n the answer is the largest score; only when k > n is it infinity.",
        lambda scores, alpha: right_quantile(scores, alpha) if _rank(len(scores), alpha) < len(scores) else math.inf,
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


conformal_quantile = Exercise(
    name="conformal_quantile",
    unit="04_calibration",
    points=3,
    difficulty=3,
    minutes=10,
    oracle=right_quantile,
    cases=quantile_cases,
    mistakes=QUANTILE_MISTAKES,
    library="calibration:conformal_quantile",
)
