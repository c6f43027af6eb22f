"""Cases, a law and known mistakes of `fit_platt`: a linear function from the score to the log-odds of the probability.

Conventions that the notebook states in the same words:
- p = sigmoid(a * score + b); the result is the pair (a, b) of plain floats;
- the targets are Platt's (1999): (N1 + 1) / (N1 + 2) for the N1 examples of class 1 and 1 / (N0 + 2) for the N0 of class 0;
- a and b minimize the mean cross entropy of the targets, so that the solution is finite also for separated classes.

scikit-learn's sigmoid calibration is the same with both signs changed. The judge allows 0.4 %, and 0.002 more for b: an optimizer that has converged
stays within half of that (the loss is convex, and gradient / curvature is the remaining distance; a float32 loss is known to 6e-8, which is
0.001 of a where the curvature is 0.1); targets without smoothing change a or b by 3 % or more in the small cases.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, plain, strided

Line = tuple[float, float]


RTOL, ATOL = 0.004, 0.002


def _targets(labels: Tensor) -> Tensor:
    ones = int(labels.sum())
    zeros = len(labels) - ones
    return torch.where(labels == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2)).double()


def _fit(scores: Tensor, targets: Tensor, weights: Tensor | None = None, ridge: float = 0.0) -> Line:
    """Newton's method with halved steps, in float64: the minimum of the weighted cross entropy plus ridge/2 * a^2."""
    x = np.stack([plain(scores), np.ones(len(scores))])
    t, w = plain(targets), np.ones(len(scores)) if weights is None else plain(weights)
    penalty, line = np.array([ridge, 1e-12]), np.zeros(2)

    def loss(at: np.ndarray) -> float:
        z = at @ x
        return float((w * (np.logaddexp(0.0, z) - t * z)).sum() + (penalty * at * at).sum() / 2)

    for _ in range(100):
        p = 0.5 + 0.5 * np.tanh(0.5 * (line @ x))
        slope = x @ (w * (p - t)) + penalty * line
        step, before = np.linalg.solve((x * (w * p * (1 - p))) @ x.T + np.diag(penalty), slope), loss(line)
        while np.abs(step).max() > 1e-12 and loss(line - step) > before + 1e-12:
            step = step / 2
        line = line - step
        if np.abs(step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])


def right_platt(scores: Tensor, labels: Tensor) -> Line:
    return _fit(scores, _targets(labels))


def _drawn(draw: Draw, n: int, a: float, b: float, size: float = 1.0) -> tuple[Tensor, Tensor]:
    """Scores of standard deviation `size` and labels from sigmoid(a * score + b); again until each class has a few."""
    while True:
        scores = draw.normal(n, std=size)
        labels = (draw.uniform(0, 1, n) < (a * scores + b).sigmoid()).long()
        if 2 < labels.sum() < n - 2 and abs(right_platt(scores, labels)[0]) > 0.3:
            return scores, labels


def _separated(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    gap = draw.uniform(0.3, 1.5, n)
    labels = torch.tensor(draw.shuffled([0, 1] * (n // 2)))
    return (2 * labels - 1) * gap + 0.4, labels


def _few(draw: Draw) -> tuple[Tensor, Tensor]:
    """Few examples, where smoothing changes a or b by at least 3 %, and another smoothing by at least 2 %."""
    while True:
        scores, labels = _drawn(draw, draw.whole(11, 17), draw.real(1.0, 2.0), draw.real(-0.8, -0.4))
        others = (_fit(scores, one) for one in (0.05 + 0.9 * labels.double(), _swapped(labels)))
        plain, a = _fit(scores, labels.double(), ridge=1e-6), right_platt(scores, labels)[0]
        if abs(plain[0]) < 15 and all(abs(a - x) > 0.05 * abs(a) + ATOL for x, _ in (plain, *others)):
            return scores, labels


def platt_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "platt")
    n = 2 * draw.whole(60, 100) + 1
    scores, labels = _drawn(draw, n, draw.real(0.8, 1.6), draw.real(0.4, 0.9))
    rare = _drawn(draw, 2 * n, 1.3, draw.real(-2.6, -2.0))
    return [
        Case("few examples", _few(draw)),
        Case("some hundred examples", (scores, labels)),
        Case("a view that is not contiguous", (strided(scores), labels)),
        Case("scores with negative correlation", _drawn(draw, n, -draw.real(0.8, 1.6), 0.5)),
        Case("a rare class", rare),
        Case("scores of about 4", _drawn(draw, n, draw.real(0.45, 0.7), 0.3, size=4.0)),
        Case("probabilities as scores", ((0.8 * rare[0] - 1.5).sigmoid(), rare[1])),
        Case("classes that a threshold separates", _separated(draw, 2 * draw.whole(6, 12))),
        Case("float64", (scores.double() + 1.5, labels)),
    ]


def platt_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "platt at work")
    scores, labels = _drawn(draw, 200, 0.9, 0.2)
    times = draw.codes(1, 9, 7).long()[(2 * scores).round().long().clamp(-3, 3) + 3]
    halves = ((2 * scores).round() / 2).repeat_interleave(times)
    return [
        Case("1,534 people, few of class 1, scores far beyond 20", _far_out(draw, 1534)),
        Case("scores that occur once or many times", (halves, labels.repeat_interleave(times))),
        Case("two scores, around 0", _two_scores(draw, -1.0, 1.0045)),
        Case("two scores that are close together, around 4", _two_scores(draw, 4.00045, 15.3)),
    ]


def _two_scores(draw: Draw, first: float, a: float) -> tuple[Tensor, Tensor]:
    """Examples of two scores only: the best line goes through the log-odds of both mean targets, so the second score is where a is as given.

    1.0045 is 0.45 % from the next number of three digits. At 4 the steps of half precision are 2 % or more of the distance.
    """
    few, many, half = draw.whole(8, 12), draw.whole(26, 30), 40
    labels = torch.tensor([1] * few + [0] * (half - few) + [1] * many + [0] * (half - many))
    low, high = (_targets(labels)[part].mean().logit().item() for part in (slice(0, half), slice(half, None)))
    scores = torch.tensor([first] * half + [first + (high - low) / a] * half)
    order = torch.randperm(2 * half, generator=draw.generator)
    return scores[order], labels[order]


def _far_out(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    """Scores like those of naive Bayes, which claims too much: some are far out, on both sides, and on each some labels are the other one."""
    scores = draw.normal(n, std=9.0) + torch.where(draw.uniform(0, 1, n) < 0.1, 15.0, -8.0)
    return scores, (draw.uniform(0, 1, n) < (0.12 * scores - 1.0).sigmoid()).long()


def _slopes(call: Call, seed: int) -> str | None:
    """At the minimum, targets and probabilities have the same mean, and the same mean product with the score."""
    scores, labels = _drawn(Draw(seed, "slopes"), 161, 1.2, 0.6)
    found = call(scores, labels)
    if difference((1.0, 1.0), found, 0.0, 1e6):
        return f"a pair of plain numbers (a, b) is expected, got {found!r}."
    a, b = found
    left = _targets(labels) - (a * scores.double() + b).sigmoid()
    slopes = (left * scores).mean().item(), left.mean().item()
    if max(map(abs, slopes)) < 0.002:  # the curvatures are 0.1 to 0.25: at most 2 % of a or 0.02 of b
        return None
    return f"your (a, b) is not the minimum: the derivatives of the loss are {slopes[0]:+.2g} by a and {slopes[1]:+.2g} by b."


def _judge(want: Outcome, got: Outcome) -> str | None:
    """A slope may be small because the scores are large, so it has no absolute tolerance."""
    return difference(want.value, got.value, RTOL, ATOL) or difference(want.value[:1], got.value[:1], RTOL, 0.0)


PLATT_LAWS = (Law("gradient at the minimum", _slopes),)


def _swapped(labels: Tensor) -> Tensor:
    """The two counts of the smoothing are swapped."""
    ones = int(labels.sum())
    zeros = len(labels) - ones
    return torch.where(labels == 1, (zeros + 1) / (zeros + 2), 1 / (ones + 2)).double()


def _too_few_steps(scores: Tensor, labels: Tensor) -> Line:
    """100 steps of gradient descent, too small to converge."""
    a = b = 0.0
    x, targets = plain(scores), plain(_targets(labels))
    for _ in range(100):
        left = 1 / (1 + np.exp(-(a * x + b))) - targets
        a, b = a - 0.02 * float((left * x).mean()), b - 0.02 * float(left.mean())
    return a, b


def _least_squares(scores: Tensor, labels: Tensor) -> Line:
    x, y = scores.double(), labels.double()
    a = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return a.item(), (y.mean() - a * x.mean()).item()


def _standardized(scores: Tensor, labels: Tensor) -> Line:
    return right_platt((scores.double() - scores.double().mean()) / scores.double().std(), labels)


def _through_origin(scores: Tensor, labels: Tensor) -> Line:
    """a alone, by bisection of the derivative."""
    x, targets, low, high = plain(scores), plain(_targets(labels)), -60.0, 60.0
    for _ in range(50):
        a = (low + high) / 2
        slope = ((0.5 + 0.5 * np.tanh(0.5 * a * x) - targets) * x).sum()
        low, high = (low, a) if slope > 0 else (a, high)
    return (low + high) / 2, 0.0


def _of(change: Callable[[float, float], Line]) -> Callable[[Tensor, Tensor], Line]:
    return lambda scores, labels: change(*right_platt(scores, labels))


def _balanced(scores: Tensor, labels: Tensor) -> Line:
    ones = labels.double().mean()
    return _fit(scores, _targets(labels), torch.where(labels == 1, 0.5 / ones, 0.5 / (1 - ones)))


PLATT_MISTAKES = (
    Mistake(
        "targets not smoothed",
        "You fit the labels 0 and 1; Platt's targets are (N1 + 1) / (N1 + 2) and 1 / (N0 + 2), which matter most for few examples.",
        lambda scores, labels: _fit(scores, labels.double(), ridge=1e-6),
    ),
    Mistake(
        "counts swapped",
        "You swapped the two counts; the target (N1 + 1) / (N1 + 2) belongs to class 1.",
        lambda scores, labels: _fit(scores, _swapped(labels)),
    ),
    Mistake(
        "fixed smoothing",
        "You smooth by a fixed 0.05; the amount depends on the counts: (N1 + 1) / (N1 + 2) and 1 / (N0 + 2).",
        lambda scores, labels: _fit(scores, 0.05 + 0.9 * labels.double()),
    ),
    Mistake("swapped", "You return (b, a); the slope a comes first.", _of(lambda a, b: (b, a))),
    Mistake(
        "signs turned",
        "Both signs are wrong: you use 1 / (1 + exp(a s + b)) or the probability of class 0; use p = sigmoid(a s + b) for class 1.",
        _of(lambda a, b: (-a, -b)),
    ),
    Mistake("intercept not returned", "You return b = 0; return the fitted intercept.", _of(lambda a, b: (a, 0.0))),
    Mistake("through the origin", "You fit a alone, so score 0 always has probability one half; fit b too.", _through_origin),
    Mistake(
        "slope never negative",
        "You take |a|; a must be negative when high scores mean a low probability.",
        _of(lambda a, b: (abs(a), b)),
    ),
    Mistake(
        "not converged",
        "Your gradient descent stopped too early; repeat until the gradient is nearly 0, or use an optimizer that converges.",
        _too_few_steps,
    ),
    Mistake(
        "least squares",
        "You fit a linear function to the labels; fit sigmoid(a s + b) by cross entropy.",
        _least_squares,
    ),
    Mistake(
        "sigmoid first",
        "You apply a sigmoid to the scores before you fit; use them as they are in a * s + b.",
        lambda scores, labels: right_platt(scores.double().sigmoid(), labels),
    ),
    Mistake(
        "standardized scores",
        "You return a and b for standardized scores; convert them to the given scores.",
        _standardized,
    ),
    Mistake(
        "regularized",
        "You penalize a (scikit-learn's LogisticRegression does, C=1); use no penalty here.",
        lambda scores, labels: _fit(scores, _targets(labels), ridge=1.0),
    ),
    Mistake(
        "balanced classes",
        "You give both classes the same total weight, so p is too large for a rare class; weight all examples equally.",
        _balanced,
    ),
    Mistake(
        "threshold",
        "You return the score at which p is one half, -b / a; return the intercept b.",
        _of(lambda a, b: (a, -b / a)),
    ),
    Mistake(
        "tensors",
        "You return tensors; .item() or .tolist() makes plain floats of them.",
        lambda scores, labels: tuple(torch.tensor(value) for value in right_platt(scores, labels)),
    ),
)


fit_platt = Exercise(
    name="fit_platt",
    unit="04_calibration",
    points=3,
    difficulty=3,
    minutes=12,
    oracle=right_platt,
    cases=platt_cases,
    workload=platt_workload,
    mistakes=PLATT_MISTAKES,
    judge=_judge,
    laws=PLATT_LAWS,
    library="calibration:fit_platt",
    legal=dict.fromkeys(
        ("float64 inputs in float32", "rounded to 4 decimals", "numpy's float16 for a number"),
        "the check allows 0.4 %, and 0.002 more for b",
    ),
)
