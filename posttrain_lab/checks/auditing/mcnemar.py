"""Cases and known mistakes of `mcnemar`: if neither of two models were better, how probable is a difference of at least this size?

Conventions that the notebook states in the same words:
- b: only the first model is right, c: only the second; examples on which both are right or both are wrong are not used;
- p = min(1, 2 P(X <= min(b, c))) with X binomial, b + c tries of probability 1/2; without any discordant example p is 1;
- the result is a plain float.

Exact fractions are the oracle. Sums of lgamma in float64 are exact to 1e-10 for ten thousand examples: the judge allows 1e-6 of p.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided


def _counts(first: Tensor, second: Tensor) -> tuple[int, int]:
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


def _at_most(k: int, n: int) -> float:
    """P(X <= k) of n coins."""
    return float(Fraction(sum(math.comb(n, i) for i in range(k + 1)), 2**n))


def right_mcnemar(first: Tensor, second: Tensor) -> float:
    b, c = _counts(first, second)
    return min(1.0, 2 * _at_most(min(b, c), b + c))


def _hits(draw: Draw, b: int, c: int, both: int, neither: int) -> tuple[Tensor, Tensor]:
    pairs = draw.shuffled([(True, False)] * b + [(False, True)] * c + [(True, True)] * both + [(False, False)] * neither)
    first, second = zip(*pairs, strict=True)
    return torch.tensor(first), torch.tensor(second)


def mcnemar_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "mcnemar")
    b, c, both, neither = draw.whole(9, 14), draw.whole(2, 4), draw.whole(20, 40), draw.whole(5, 9)
    first, second = _hits(draw, c, b, both, neither)
    return [
        Case("the first is right more often", _hits(draw, b, c, both, neither)),
        Case("the second is right more often, a view that is not contiguous", (strided(first), strided(second))),
        Case("both are right equally often", _hits(draw, b, b, both, neither)),
        Case("one more for the second", _hits(draw, c, c + 1, both, neither)),
        Case("no discordant example", _hits(draw, 0, 0, both, neither)),
        Case("one discordant example", _hits(draw, 1, 0, both, 0)),
        Case("discordant examples only, all for the first", _hits(draw, b, 0, 0, 0)),
        Case("one example, on which both are right", (torch.tensor([True]), torch.tensor([True]))),
        Case("hardly any example on which both are wrong", _hits(draw, b - 2, c + 1, 2 * both, 1)),
        Case("by name", (), dict(zip(("first", "second"), _hits(draw, c, b + 2, both, neither), strict=True))),
    ]


def mcnemar_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "mcnemar at work")
    return [
        Case("2,000 validation images", _hits(draw, draw.whole(55, 70), draw.whole(30, 45), 1700, 200)),
        Case("1,300 images, 1,100 of them discordant", _hits(draw, 560, 540 - draw.whole(0, 9), 150, 50)),
    ]


def _order_does_not_matter(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "mcnemar law")
    first, second = _hits(draw, draw.whole(8, 12), draw.whole(1, 3), 12, 5)
    there, back = call(first, second), call(second, first)
    return None if abs(there - back) <= 1e-9 else f"mcnemar(a, b) is {there:.6g} and mcnemar(b, a) {back:.6g}."


def _from(p: Callable[[int, int, int], float], none: float = 1.0) -> Callable[[Tensor, Tensor], float]:
    """A p-value from b, c and n; `none` without discordant examples."""

    def mistaken(first: Tensor, second: Tensor) -> float:
        b, c = _counts(first, second)
        return p(b, c, len(first)) if b + c else none

    return mistaken


def _hits_compared(first: Tensor, second: Tensor) -> float:
    b, c = int(first.sum()), int(second.sum())
    return min(1.0, 2 * _at_most(min(b, c), b + c))


def _same_answers(first: Tensor, second: Tensor) -> float:
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    return min(1.0, 2 * _at_most(min(both, neither), both + neither))


MCNEMAR_MISTAKES = (
    Mistake(
        "all examples",
        "You use all n examples as tries; only the discordant ones, b + c, say who is better.",
        _from(lambda b, c, n: min(1.0, 2 * _at_most(min(b, c), n)), none=0.0),
    ),
    Mistake(
        "one-sided",
        "Your p is one-sided; either model might be the better one, so double the tail.",
        _from(lambda b, c, n: _at_most(min(b, c), b + c)),
    ),
    Mistake(
        "chi-square",
        "You use the chi-square approximation (b - c)^2 / (b + c); for few discordant examples use the exact binomial.",
        _from(lambda b, c, n: math.erfc(math.sqrt((b - c) ** 2 / (b + c) / 2))),
    ),
    Mistake(
        "chi-square, corrected",
        "You use the chi-square approximation with a correction; use the exact binomial probability.",
        _from(lambda b, c, n: math.erfc(math.sqrt(max(0, abs(b - c) - 1) ** 2 / (b + c) / 2))),
    ),
    Mistake(
        "concordant ones counted",
        "You compare how often each model is right, also where both are; count the examples on which exactly one is right.",
        _hits_compared,
    ),
    Mistake(
        "the examples on which they agree",
        "You count the examples on which both are right and both are wrong; count those on which exactly one is right.",
        _same_answers,
    ),
    Mistake(
        "above 1",
        "Your p is above 1 when b and c are nearly equal; a probability is at most 1, so take min(1, ...).",
        _from(lambda b, c, n: 2 * _at_most(min(b, c), b + c), none=2.0),
    ),
    Mistake(
        "this outcome only",
        "You use the probability of exactly min(b, c); add those of all smaller counts, P(X <= min(b, c)).",
        _from(lambda b, c, n: min(1.0, 2 * math.comb(b + c, b) / 2 ** (b + c))),
    ),
    Mistake(
        "the outcome itself left out",
        "You add the counts below min(b, c); min(b, c) itself belongs to the tail, P(X <= min(b, c)).",
        _from(lambda b, c, n: 2 * _at_most(min(b, c) - 1, b + c), none=0.0),
    ),
    Mistake(
        "the larger count",
        "You use max(b, c) for the tail; P(X <= min(b, c)) is the small one.",
        _from(lambda b, c, n: min(1.0, 2 * _at_most(max(b, c), b + c))),
    ),
    Mistake(
        "confidence",
        "You return 1 - p; return p, which is small when the difference is clear.",
        lambda first, second: 1 - right_mcnemar(first, second),
    ),
    Mistake(
        "nothing learnt",
        "Without a discordant example you return 0, as if the difference were certain; p is 1 there.",
        _from(lambda b, c, n: min(1.0, 2 * _at_most(min(b, c), b + c)), none=0.0),
    ),
    Mistake(
        "tensor",
        "You return a tensor; return a plain float.",
        lambda first, second: torch.tensor(right_mcnemar(first, second)),
    ),
)


mcnemar = Exercise(
    name="mcnemar",
    unit="07_auditing",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_mcnemar,
    cases=mcnemar_cases,
    workload=mcnemar_workload,
    mistakes=MCNEMAR_MISTAKES,
    judge=close(1e-6, 1e-12),
    laws=(Law("the order of the models does not matter", _order_does_not_matter),),
    library="comparisons:mcnemar",
)
