"""Cases and a law of `fit_isotonic`: the rising curve from score to probability that has the smallest squared distance to the labels.

Conventions that the notebook states in the same words:
- `fit_isotonic(scores, labels)` returns a function of points [m], which returns probabilities, a float tensor [m];
- examples with equal scores are combined into one point first: their mean label, with their number as weight;
- neighbours that fall are pooled: both get their weighted mean, until nothing falls (equal means may be pooled or not, with the same result);
- between two neighbouring scores the curve is linear, below the first and above the last score it is constant.

The check evaluates the returned function through `fitted_at`: a function cannot be sent. It is a function of points alone: it gives the same
values when it is called again, after another fit, and when the scores and labels of its own fit are overwritten.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.calibration.fit_isotonic_mistakes import ISOTONIC_MISTAKES
from posttrain_lab.checks.calibration.fit_isotonic_oracle import right_isotonic
from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.facts import differ
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

CHANGES = "your curve gives other values when it is called again, after another fit and with the old scores overwritten"


@adapter
def fitted_at(function: Callable[..., Any], scores: Tensor, labels: Tensor, points: Tensor) -> Any:
    """The adapter: fit, then evaluate the returned function at the points, twice."""
    own = scores.clone(), labels.clone()
    found = function(*own)
    if not callable(found):
        raise TypeError(f"fit_isotonic returns a function of points; yours returned a {type(found).__name__}")
    first = found(points)
    kept = first.clone() if isinstance(first, Tensor) else first
    function(-scores, labels)
    for part in own:
        part.zero_()
    if isinstance(kept, Tensor) and differ(found(points), kept):
        raise ValueError(CHANGES)
    return kept


def _where(draw: Draw, scores: Tensor) -> Tensor:
    """Points equal to scores, between them and outside, in random order."""
    low, high = scores.min().item(), scores.max().item()
    spread = high - low + 1.0
    picked = scores[torch.randint(0, len(scores), (12,), generator=draw.generator)]
    outside = torch.tensor([low - spread, low - 0.1, high + 0.1, high + spread])
    points = torch.cat([picked.float(), draw.uniform(low, high, 12), outside]).to(scores.dtype)
    return points[torch.randperm(len(points), generator=draw.generator)]


def _with_points(draw: Draw, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return scores, labels, _where(draw, scores)


def _drawn(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    scores = draw.normal(n)
    return scores, (draw.uniform(0, 1, n) < (1.5 * scores).sigmoid()).long()


def _staircase(draw: Draw, lengths: list[int], start: int = 1) -> tuple[Tensor, Tensor]:
    """Scores in random order; the labels, sorted by score, are runs of these lengths, 1 and 0 in turn."""
    labels = torch.cat([torch.full((run,), (index + start) % 2) for index, run in enumerate(lengths)])
    scores = (draw.uniform(0.1, 1.0, len(labels))).cumsum(0)
    order = torch.randperm(len(labels), generator=draw.generator)
    return scores[order], labels[order]


def _two_scores(draw: Draw) -> tuple[Tensor, Tensor]:
    """Heights of 1/4 and about 3/4: extrapolation is noticed, even when it is clipped to 0 and 1."""
    many = draw.whole(3, 6)
    return torch.tensor([0.25, 0.75]).repeat(4 + many), torch.tensor([0, 1, 0, 1, 1, 1, 0, 0] + [0, 1] * many)


def isotonic_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "isotonic")
    n = 2 * draw.whole(15, 30) + 1
    scores, labels = _drawn(draw, n)
    ties = (_drawn(draw, n)[0] * 2).round() / 2
    its_labels = (draw.uniform(0, 1, n) < (1.5 * ties).sigmoid()).long()
    chain = [2, 1, draw.whole(3, 5), draw.whole(4, 7), 1, draw.whole(2, 4), 3]
    tied = torch.cat([torch.full((draw.whole(5, 8),), 1.0), torch.tensor([2.0, 3.0, 3.0, 4.0])])
    tied_labels = torch.tensor([1] * (len(tied) - 4) + [0, 1, 0, 1])
    return [
        Case("one fall, between runs of different length", _with_points(draw, *_staircase(draw, [1, 3, 6], 0))),
        Case("falls that need several rounds of pooling", _with_points(draw, *_staircase(draw, chain))),
        Case("labels that never fall", _with_points(draw, *_staircase(draw, [draw.whole(2, 5), draw.whole(2, 5)], 0))),
        Case("labels that never rise", _with_points(draw, *_staircase(draw, [draw.whole(2, 5), draw.whole(6, 9)]))),
        Case("random labels", _with_points(draw, scores, labels)),
        Case("many equal scores", _with_points(draw, ties, its_labels)),
        Case("one score with many examples, then scores with one", _with_points(draw, tied, tied_labels)),
        Case("scores far above 1, a view that is not contiguous", _with_points(draw, strided(30 * scores + 100), labels)),
        Case("all scores equal", (torch.full((5,), 0.5), torch.tensor([1, 0, 0, 1, 0]), torch.tensor([0.0, 0.5, 1.0]))),
        Case("two scores with several examples, end values other than 0 and 1", _with_points(draw, *_two_scores(draw))),
        Case("float64", _with_points(draw, scores.double() - 5, labels)),
    ]


def isotonic_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "isotonic at work")
    people = draw.normal(1101, std=6.0)
    labels = (draw.uniform(0, 1, 1101) < (0.3 * people - 1.5).sigmoid()).long()
    scores, its_labels = _drawn(draw, 40)
    return [
        Case("1,101 people", _with_points(draw, people, labels)),
        Case("scores that float16 does not separate", _with_points(draw, 64 + scores / 128, its_labels)),
        Case("float64, scores that float32 does not separate", _with_points(draw, 1 + scores.double() * 2**-28, its_labels)),
    ]


def _rises(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "rising")
    scores, labels = _drawn(draw, 151)
    grid = torch.linspace(scores.min().item() - 1, scores.max().item() + 1, 400)
    found = call(scores, labels, grid)
    if not isinstance(found, Tensor) or found.shape != grid.shape or not found.is_floating_point():
        return "for points [m] the curve must give a float tensor [m]."
    if (found.diff() < -1e-6).any():
        return "the curve falls somewhere; pool neighbours that fall."
    at = call(scores, labels, scores).double()
    if abs(at.mean() - labels.double().mean()) > 1e-5:
        return f"over the examples the curve's mean is {at.mean():.4f}, that of the labels {labels.double().mean():.4f}; pooling keeps it."
    return None


ISOTONIC_LAWS = (Law("a rising curve", _rises),)


# 1e-4: between two close scores, interpolation in float32 is less exact than its ends
fit_isotonic = Exercise(
    name="fit_isotonic",
    unit="04_calibration",
    points=4,
    difficulty=5,
    minutes=20,
    oracle=right_isotonic,
    cases=isotonic_cases,
    workload=isotonic_workload,
    mistakes=ISOTONIC_MISTAKES,
    judge=close(0.0001, 1e-05),
    laws=ISOTONIC_LAWS,
    through="calibration.fit_isotonic:fitted_at",
    library="calibration:fit_isotonic",
)
