"""Cases and known mistakes of `risk_coverage`: if only the examples with the highest confidence are answered, which share of the answers is wrong?

Conventions that the notebook states in the same words:
- one point for each of the k different confidences t, from the largest down;
- coverage: the share of all examples with confidence >= t; risk: the share of wrong answers among those;
- so answers with equal confidences are added together, and the last point is (1, error rate); two float tensors [k]; `correct` is bool.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided

Curve = tuple[Tensor, Tensor]


def right_risk_coverage(confidence: Tensor, correct: Tensor) -> Curve:
    pairs = list(zip(confidence.tolist(), correct.tolist(), strict=True))
    rising, wrong = sorted(c for c, _ in pairs), sorted(c for c, hit in pairs if not hit)
    coverage, risk = [], []
    for t in sorted(set(rising), reverse=True):
        answered = len(rising) - bisect_left(rising, t)
        coverage.append(answered / len(pairs))
        risk.append((len(wrong) - bisect_left(wrong, t)) / answered)
    return torch.tensor(coverage), torch.tensor(risk)


def _answers(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    """Different confidences in random order, wrong answers everywhere but more often where the confidence is small."""
    confidence = (torch.randperm(1000, generator=draw.generator)[:n] + 0.5) / 1000
    return confidence, draw.uniform(0, 1, n) < 0.3 + 0.6 * confidence


def coverage_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "risk_coverage")
    n = 2 * draw.whole(12, 30) + 1
    confidence, correct = _answers(draw, n)
    tied = draw.codes(2, 6, n).float() / 8
    return [
        Case("a few answers", _answers(draw, 6)),
        Case("different confidences", (confidence, correct)),
        Case("a view that is not contiguous", (strided(confidence), correct)),
        Case("many equal confidences", (tied, correct)),
        Case("two confidences", (torch.where(confidence > 0.5, 0.75, 0.25), correct)),
        Case("all confidences equal", (torch.full((n,), 0.5), correct)),
        Case(
            "confidences of exactly 1 and 0",
            (torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0]), torch.tensor([True, False, False, True, True])),
        ),
        Case("all right", (confidence, torch.ones(n).bool())),
        Case("all wrong", (confidence, torch.zeros(n).bool())),
        Case("one answer, wrong", (torch.tensor([0.75]), torch.tensor([False]))),
        Case("float64", (confidence.double(), correct)),
    ]


def coverage_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "coverage at work")
    return [
        Case("1,100 answers, most of them nearly sure", _close_to_one(draw, 1100, 2.0**-18)),
        Case("float64, confidences that float32 does not separate", _close_to_one(draw, 60, 2.0**-33)),
        Case("a thousand answers, some confidences twice", _close_to_one(draw, 1050, 2.0**-18, 700)),
    ]


def _close_to_one(draw: Draw, n: int, step: float, different: int | None = None) -> tuple[Tensor, Tensor]:
    """Confidences [n] in small steps below 1; float32 if it separates them."""
    places = torch.randperm(4096, generator=draw.generator)[: different or n]
    places = torch.cat([places, places[torch.randint(0, len(places), (n - len(places),), generator=draw.generator)]])
    confidence = 1 - places[torch.randperm(n, generator=draw.generator)].double() * step
    return confidence.float() if step > 2.0**-24 else confidence, draw.uniform(0, 1, n) < 0.6


def _each(confidence: Tensor, correct: Tensor, order: Tensor | None = None) -> Curve:
    """A point for each example, in this order (from the highest confidence down)."""
    order = confidence.argsort(descending=True, stable=True) if order is None else order
    answered = torch.arange(1, len(order) + 1)
    return answered / len(order), (~correct[order]).cumsum(0) / answered


def _with(change: Callable[[Tensor, Tensor, int], Any]) -> Callable[[Tensor, Tensor], Any]:
    return lambda confidence, correct: change(*right_risk_coverage(confidence, correct), len(correct))


def _lowest_first(confidence: Tensor, correct: Tensor) -> Curve:
    return right_risk_coverage(-confidence, correct)


def _correct_not_sorted(confidence: Tensor, correct: Tensor) -> Curve:
    return right_risk_coverage(confidence.sort(descending=True).values, correct)


def _without_t(confidence: Tensor, correct: Tensor) -> Curve:
    """confidence > t; the risk is 0 where nothing is answered."""
    coverage, risk = right_risk_coverage(confidence, correct)
    zero = torch.zeros(1)
    return torch.cat([zero, coverage[:-1]]), torch.cat([zero, risk[:-1]])


def _first_of_ties(confidence: Tensor, correct: Tensor) -> Curve:
    """Among equal confidences, the point of the first."""
    coverage, risk = _each(confidence, correct)
    values = confidence.sort(descending=True, stable=True).values
    first = torch.cat([torch.tensor([True]), values[1:] != values[:-1]])
    return coverage[first], risk[first]


COVERAGE_MISTAKES = (
    Mistake(
        "lowest confidence first",
        "You answer the examples with the lowest confidence first; sort by confidence from the largest down.",
        _lowest_first,
    ),
    Mistake(
        "divided by all",
        "You divide the wrong answers by all n; divide by the number of examples answered so far.",
        _with(lambda coverage, risk, n: (coverage, coverage * risk)),
    ),
    Mistake(
        "accuracy",
        "You return the share of right answers as risk; return the share of wrong ones.",
        _with(lambda coverage, risk, n: (coverage, 1 - risk)),
    ),
    Mistake(
        "a point for each example",
        "You give each example a point of its own; give equal confidences one point together.",
        _each,
    ),
    Mistake(
        "first of equal ones",
        "Among equal confidences you take the point of the first; all of them are answered, so take that of the last.",
        _first_of_ties,
    ),
    Mistake(
        "correct not sorted",
        "You sorted the confidences but not `correct`; use the same order for both.",
        _correct_not_sorted,
    ),
    Mistake(
        "confidence above t",
        "You answer when confidence > t; use confidence >= t, so that the last point is (1, error rate).",
        _without_t,
    ),
    Mistake(
        "from full coverage down",
        "Your first point answers everything; start with the highest confidence, so that coverage rises.",
        _with(lambda coverage, risk, n: (coverage.flip(0), risk.flip(0))),
    ),
    Mistake(
        "counts",
        "Your coverage counts examples; divide by their number n.",
        _with(lambda coverage, risk, n: (coverage * n, risk)),
    ),
    Mistake(
        "risk of each step",
        "Your risk is that of the last examples alone; count all examples answered so far (cumsum).",
        lambda confidence, correct: (
            right_risk_coverage(confidence, correct)[0],
            torch.stack([(~correct[confidence == t]).double().mean() for t in confidence.unique().flip(0)]),
        ),
    ),
    Mistake(
        "thresholds as coverage",
        "You return the confidences as coverage; return the share of examples with at least that confidence.",
        lambda confidence, correct: (confidence.unique().flip(0), right_risk_coverage(confidence, correct)[1]),
    ),
    Mistake(
        "a point at zero",
        "You add a point (0, 0); start with the point of the largest confidence.",
        _with(lambda coverage, risk, n: (torch.cat([torch.zeros(1), coverage]), torch.cat([torch.zeros(1), risk]))),
    ),
    Mistake("swapped", "You return (risk, coverage); coverage comes first.", _with(lambda coverage, risk, n: (risk, coverage))),
    Mistake(
        "lists",
        "You return lists; make tensors of them (torch.tensor).",
        _with(lambda coverage, risk, n: (coverage.tolist(), risk.tolist())),
    ),
)


risk_coverage = Exercise(
    name="risk_coverage",
    unit="04_calibration",
    points=2,
    difficulty=3,
    minutes=9,
    oracle=right_risk_coverage,
    cases=coverage_cases,
    workload=coverage_workload,
    legal={
        "float32 for float64": "the result is a pair of float tensors `[k]`",
        "not contiguous": "the result is a pair of float tensors `[k]`",
    },
    mistakes=COVERAGE_MISTAKES,
    library="calibration:risk_coverage",
)
