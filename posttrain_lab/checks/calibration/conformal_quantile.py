"""Cases and known mistakes of `conformal_quantile`: the nonconformity score that a new example exceeds with a probability of at most alpha.

Conventions that the notebook states in the same words:
- the nonconformity score is 1 - probability of the true class: it is large when the model gives the true class a small probability;
- conformal_quantile is the k-th smallest score, k = ceil((n + 1)(1 - alpha)), a plain float; infinity when k > n.

The argument of ceil is rounded: (n + 1)(1 - alpha) is a whole number only for alphas that are binary fractions; in other cases it is at
least 0.0005 away from one, and its rounding error is below 1e-12.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided


def _rank(n: int, alpha: float) -> int:
    return math.ceil((n + 1) * (1 - Fraction(alpha).limit_denominator(10_000)))


def right_quantile(scores: Tensor, alpha: float) -> float:
    """The smallest score such that at least k scores are not larger, by counting."""
    rank, values = _rank(len(scores), alpha), scores.tolist()
    rising = sorted(values)
    return next((s for s in rising if bisect_right(rising, s) >= rank), math.inf)


def _size(draw: Draw, alpha: float, low: int, high: int, most: float = 0.95) -> int:
    """A number of examples where (n + 1)(1 - alpha) is far from a whole number, and where ceil(n (1 - alpha)) differs.

    `most` is the largest fraction that is rounded up; if it is below one half, rounding to nearest differs too.
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
        Case("a coverage of 70 %", (_scores(draw, few), 0.3)),
        Case("a coverage of 90 %", (scores, 0.1)),
        Case("a coverage of 95 %", (_scores(draw, many), 0.05)),
        Case("alpha by name, a view that is not contiguous", (strided(scores),), {"alpha": 0.1}),
        Case("(n + 1)(1 - alpha) a whole number", (_scores(draw, quarter), 0.25)),
        Case("a rank that is n exactly", (_scores(draw, 7), 0.125)),
        Case("too few examples for the guarantee", (_scores(draw, draw.whole(3, 8)), 0.1)),
        Case("one example and a coverage of one half", (_scores(draw, 1), 0.5)),
        Case("one example and a coverage of 90 %", (_scores(draw, 1), 0.1)),
        Case("many equal scores", (tied, 0.2 if _far(n, 0.2) else 0.25)),
        Case("a coverage of one quarter", (_scores(draw, 4 * draw.whole(8, 15) + 1), 0.75)),
        Case("float64 scores", (scores.double(), 0.1)),
    ]


def quantile_workload(seed: int) -> list[Case]:
    """Sizes of the notebook. A rank is just above a whole number for n + 1 = 49, 99, 149, ... and a coverage of 98 %."""
    draw = Draw(seed, "quantile at work")
    above = 50 * draw.whole(20, 24) + 48
    return [
        Case("a coverage of 98 %, a thousand examples", (ladder(draw, 1000).abs(), 0.02)),
        Case("a rank just above a whole number", (ladder(draw, above).abs(), 0.02)),
        Case("a coverage of 99.95 %", (ladder(draw, 2000).abs(), 0.0005)),
        Case("35 examples, alpha computed as 1 - 0.9", (_scores(draw, 35).double(), 1 - 0.9)),
        Case("scores that are log-odds, and a negative one is the answer", (draw.normal(40, std=9.0), 0.72)),
        Case("scores that are log-odds, and one far above 1 is the answer", (draw.normal(40, std=9.0), 0.12)),
    ]


def _far(n: int, alpha: float) -> bool:
    return 0.05 < (n + 1) * (1 - alpha) % 1 < 0.95


def _ranked(rank: Callable[[int, float], int], beyond: float = math.inf) -> Callable[[Tensor, float], float]:
    """The score of another rank (1 is the smallest); `beyond` for ranks above n."""

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
        "You return the plain 1 - alpha quantile of the scores; count the new example too: rank ceil((n + 1)(1 - alpha)).",
        lambda scores, alpha: scores.double().quantile(1 - alpha).item(),
    ),
    Mistake(
        "n instead of n + 1",
        "Your rank is ceil(n (1 - alpha)); count the new example too: n + 1 in place of n.",
        _ranked(lambda n, alpha: math.ceil(n * (1 - alpha) - 1e-9)),
    ),
    Mistake(
        "interpolated",
        "You interpolate between two scores; take the k-th smallest score itself.",
        _interpolated,
    ),
    Mistake(
        "interpolated at (n + 1)(1 - alpha) / n",
        "You interpolate at the corrected level, which can be below the k-th smallest score; take that score itself.",
        _corrected_interpolated,
    ),
    Mistake(
        "next higher quantile",
        "quantile(k / n) with 'higher' gives the rank above k, as its levels run from 0 to 1 in n - 1 steps; sort, and take the k-th.",
        _next_higher,
    ),
    Mistake(
        "rounded down",
        "You round the rank down; round it up (ceil), or the coverage is not guaranteed.",
        _ranked(lambda n, alpha: math.floor((n + 1) * (1 - alpha) + 1e-9)),
    ),
    Mistake(
        "one rank too far",
        "Your rank is one too high: Python counts from 0, so the k-th smallest is sorted[k - 1].",
        _ranked(lambda n, alpha: _rank(n, alpha) + 1),
    ),
    Mistake(
        "rank rounded",
        "You round the rank to nearest; round it up (ceil), or the coverage is not guaranteed.",
        _ranked(lambda n, alpha: round((n + 1) * (1 - alpha))),
    ),
    Mistake(
        "alpha instead of 1 - alpha",
        "You take the rank for alpha; alpha is the share that may be missed, so use 1 - alpha.",
        _ranked(lambda n, alpha: _rank(n, 1 - alpha)),
    ),
    Mistake(
        "largest first",
        "You count from the largest score; return the k-th smallest.",
        lambda scores, alpha: (
            (-scores).sort().values.neg().tolist()[k - 1] if (k := _rank(len(scores), alpha)) <= len(scores) else math.inf
        ),
    ),
    Mistake("not sorted", "You take the score at position k without sorting; sort the scores first.", _unsorted),
    Mistake(
        "largest score when too few",
        "When k > n you return the largest score; then no score is large enough, so return infinity.",
        _capped,
    ),
    Mistake(
        "infinite at n already",
        "When k = n you return infinity; return the largest score then, and infinity only when k > n.",
        lambda scores, alpha: right_quantile(scores, alpha) if _rank(len(scores), alpha) < len(scores) else math.inf,
    ),
    Mistake(
        "one when too few",
        "When k > n you return 1; return infinity, which is right for any kind of score.",
        _ranked(_rank, beyond=1.0),
    ),
    Mistake(
        "half of alpha",
        "You use alpha / 2, as for two-sided intervals; only large scores are excluded, so use alpha.",
        _ranked(lambda n, alpha: _rank(n, alpha / 2)),
    ),
    Mistake(
        "rank returned",
        "You return the rank k; return the score at that rank.",
        lambda scores, alpha: float(_rank(len(scores), alpha)) if _rank(len(scores), alpha) <= len(scores) else math.inf,
    ),
    Mistake(
        "tensor",
        "You return a tensor; .item() makes a plain float of it.",
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
    workload=quantile_workload,
    mistakes=QUANTILE_MISTAKES,
    library="calibration:conformal_quantile",
)
