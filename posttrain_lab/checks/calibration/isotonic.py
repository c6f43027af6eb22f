"""Cases, a law and known mistakes of `fit_isotonic`: which rising curve turns a score into a probability, when nothing else is assumed?

Conventions that the notebook states in the same words:
- `fit_isotonic(scores, labels)` returns a function of points [m], which returns probabilities, a float tensor [m];
- examples with equal scores are one point first: their mean label, with their number as its weight;
- neighbours that fall are pooled into their weighted mean, until nothing falls (ties of the means need no pooling: the values are the same);
- between two neighbouring scores the curve is a straight line, below the first and above the last score it is flat.

The check evaluates the returned function through `fitted_at`: a function cannot travel. The oracle is the min-max formula of isotonic
regression (Barlow et al. 1972), which pools nothing: value i is the largest, over starts j <= i, of the smallest mean of j..k with k >= i.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Call, Case, Law, Mistake

Curve = Callable[[Tensor], Tensor]
Points = tuple[Tensor, Tensor, Tensor]  # distinct scores rising, mean labels, weights


def fitted_at(function: Callable[..., Any], scores: Tensor, labels: Tensor, points: Tensor) -> Any:
    """The adapter: fit, then evaluate what came back at the points."""
    curve = function(scores, labels)
    if not callable(curve):
        raise TypeError(f"fit_isotonic returns a function of points; yours returned a {type(curve).__name__}")
    return curve(points)


def _distinct(scores: Tensor, labels: Tensor) -> Points:
    values = scores.double().unique()
    together = scores.double()[None, :] == values[:, None]
    weights = together.sum(1).double()
    return values, (together * labels).sum(1) / weights, weights


def _curve(values: Tensor, heights: Tensor) -> Curve:
    """Straight between neighbours, flat outside."""

    def at(points: Tensor) -> Tensor:
        x = points.double().contiguous()
        right = torch.searchsorted(values, x).clamp(1, max(1, len(values) - 1))
        if len(values) == 1:
            return heights.expand(len(x)).clone()
        share = ((x - values[right - 1]) / (values[right] - values[right - 1])).clamp(0, 1)
        return heights[right - 1] + share * (heights[right] - heights[right - 1])

    return at


def _min_max(means: Tensor, weights: Tensor) -> Tensor:
    total, mass = (torch.cat([torch.zeros(1).double(), part.cumsum(0)]) for part in (means * weights, weights))
    k = len(means)
    found = torch.empty(k, dtype=torch.float64)
    for i in range(k):
        starts, ends = torch.arange(i + 1)[:, None], torch.arange(i, k)[None, :]
        mean = (total[ends + 1] - total[starts]) / (mass[ends + 1] - mass[starts])
        found[i] = mean.amin(1).amax()
    return found


def right_isotonic(scores: Tensor, labels: Tensor) -> Curve:
    values, means, weights = _distinct(scores, labels)
    return _curve(values, _min_max(means, weights))


def _where(draw: Draw, scores: Tensor) -> Tensor:
    """Points on scores, between them and outside, in any order."""
    low, high = scores.min().item(), scores.max().item()
    spread = high - low + 1.0
    picked = scores[torch.randint(0, len(scores), (12,), generator=draw.generator)]
    outside = torch.tensor([low - spread, low - 0.1, high + 0.1, high + spread])
    points = torch.cat([picked.float(), draw.uniform(low, high, 12), outside]).to(scores.dtype)
    return points[torch.randperm(len(points), generator=draw.generator)]


def _asked(draw: Draw, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return scores, labels, _where(draw, scores)


def _drawn(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    scores = draw.normal(n)
    return scores, (draw.uniform(0, 1, n) < (1.5 * scores).sigmoid()).long()


def _staircase(draw: Draw, lengths: list[int], start: int = 1) -> tuple[Tensor, Tensor]:
    """Rising scores in random order; labels in runs of these lengths, 1 and 0 in turn."""
    labels = torch.cat([torch.full((run,), (index + start) % 2) for index, run in enumerate(lengths)])
    scores = (draw.uniform(0.1, 1.0, len(labels))).cumsum(0)
    order = torch.randperm(len(labels), generator=draw.generator)
    return scores[order], labels[order]


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
        Case("one fall, between runs of different length", _asked(draw, *_staircase(draw, [1, 3, 6], 0))),
        Case("falls that need several rounds of pooling", _asked(draw, *_staircase(draw, chain))),
        Case("labels that only rise", _asked(draw, *_staircase(draw, [draw.whole(2, 5), draw.whole(2, 5)], 0))),
        Case("labels that only fall", _asked(draw, *_staircase(draw, [draw.whole(2, 5), draw.whole(6, 9)]))),
        Case("drawn labels", _asked(draw, scores, labels)),
        Case("many equal scores", _asked(draw, ties, its_labels)),
        Case("one score of many examples, then single ones", _asked(draw, tied, tied_labels)),
        Case("scores far above 1, a view that is not contiguous", _asked(draw, strided(30 * scores + 100), labels)),
        Case("all scores equal", (torch.full((5,), 0.5), torch.tensor([1, 0, 0, 1, 0]), torch.tensor([0.0, 0.5, 1.0]))),
        Case("two examples", _asked(draw, torch.tensor([0.75, 0.25]), torch.tensor([1, 0]))),
        Case("float64", _asked(draw, scores.double() - 5, labels)),
    ]


def _rises(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "rising")
    scores, labels = _drawn(draw, 151)
    grid = torch.linspace(scores.min().item() - 1, scores.max().item() + 1, 400)
    found = call(scores, labels, grid)
    if not isinstance(found, Tensor) or found.shape != grid.shape or not found.is_floating_point():
        return "for points [m] the curve must give a float tensor [m]."
    if (found.diff() < -1e-6).any():
        return "the curve falls somewhere; where neighbours fall, pool them."
    at = call(scores, labels, scores).double()
    if abs(at.mean() - labels.double().mean()) > 1e-5:
        return f"over the examples the curve's mean is {at.mean():.4f}, that of the labels {labels.double().mean():.4f}; pooling keeps it."
    return None


ISOTONIC_LAWS = (Law("a rising curve", _rises),)


# ---- known mistakes: another curve through the points, or other heights
def _pooled(means: Tensor, weights: Tensor, weigh: bool = True, rounds: int = 10**6) -> Tensor:
    """Pool falling neighbours; without `weigh` by the plain mean of the two values; at most so many sweeps from left to right."""
    blocks = [[mean, weight, 1] for mean, weight in zip(means.tolist(), weights.tolist(), strict=True)]
    for _ in range(rounds):
        swept: list[list[float]] = []
        for mean, weight, size in blocks:
            if swept and swept[-1][0] > mean:
                last, mass, count = swept.pop()
                share = weight / (weight + mass) if weigh else 0.5
                swept.append([last + share * (mean - last), weight + mass, size + count])
            else:
                swept.append([mean, weight, size])
        if len(swept) == len(blocks):
            break
        blocks = swept
    return torch.tensor([mean for mean, _, size in blocks for _ in range(int(size))], dtype=torch.float64)


def _with(heights: Callable[[Tensor, Tensor], Tensor], curve: Callable[[Tensor, Tensor], Curve] = _curve) -> Callable[..., Curve]:
    def fit(scores: Tensor, labels: Tensor) -> Curve:
        values, means, weights = _distinct(scores, labels)
        return curve(values, heights(means, weights))

    return fit


def _through(curve: Callable[[Tensor, Tensor], Curve]) -> Callable[..., Curve]:
    return _with(_min_max, curve)


def _steps(values: Tensor, heights: Tensor) -> Curve:
    """The height of the last score that is not above the point."""
    return lambda points: heights[(torch.searchsorted(values, points.double().contiguous(), right=True) - 1).clamp(min=0)]


def _nearest(values: Tensor, heights: Tensor) -> Curve:
    return lambda points: heights[(points.double()[:, None] - values).abs().argmin(1)]


def _outside(low: float, high: float) -> Callable[[Tensor, Tensor], Curve]:
    def curve(values: Tensor, heights: Tensor) -> Curve:
        def at(points: Tensor) -> Tensor:
            inside = torch.where(points < values[0], low, _curve(values, heights)(points))
            return torch.where(points > values[-1], high, inside)

        return at

    return curve


def _line_goes_on(values: Tensor, heights: Tensor) -> Curve:
    """The first and the last piece go on outside."""

    def at(points: Tensor) -> Tensor:
        if len(values) == 1:
            return _curve(values, heights)(points)
        x = points.double().contiguous()
        right = torch.searchsorted(values, x).clamp(1, len(values) - 1)
        slope = (heights[right] - heights[right - 1]) / (values[right] - values[right - 1])
        return heights[right - 1] + slope * (x - values[right - 1])

    return at


def _through_centres(values: Tensor, heights: Tensor) -> Curve:
    """One point for each block, at the mean of its scores."""
    levels, block = heights.unique(return_inverse=True)
    return _curve(torch.stack([values[block == b].mean() for b in range(len(levels))]), levels)


def _ties_apart(scores: Tensor, labels: Tensor) -> Curve:
    """Equal scores as points of their own, in the order given; the last of them is what the curve shows at the score."""
    order = scores.argsort(stable=True)
    heights = _min_max(labels[order].double(), torch.ones(len(order)).double())
    values = scores.double()[order]
    last = torch.cat([values[1:] != values[:-1], torch.tensor([True])])
    return _curve(values[last], heights[last])


def _unsorted(scores: Tensor, labels: Tensor) -> Curve:
    """Pooled in the order given."""
    heights = _min_max(labels.double(), torch.ones(len(labels)).double())
    values, place = scores.double().unique(return_inverse=True)
    return _curve(values, torch.zeros(len(values)).double().scatter(0, place, heights))


ISOTONIC_MISTAKES = (
    Mistake(
        "block sizes forgotten",
        "Two blocks become the plain mean of their values; a block of 9 examples weighs more than one of 2: use weights.",
        _with(lambda means, weights: _pooled(means, weights, weigh=False)),
    ),
    Mistake(
        "equal scores weigh one",
        "Examples with equal scores are one point, but its weight is their number; you let it weigh as one example.",
        _with(lambda means, weights: _min_max(means, torch.ones_like(weights))),
    ),
    Mistake(
        "one round",
        "You go through once; a pooled block can fall below the one before it, so look back until nothing falls.",
        _with(lambda means, weights: _pooled(means, weights, rounds=1)),
    ),
    Mistake(
        "nothing pooled",
        "You join the mean labels as they are, so the curve falls wherever a 0 follows a 1; pool falling neighbours.",
        _with(lambda means, weights: means),
    ),
    Mistake(
        "equal scores apart",
        "Examples with equal scores can get different values from you; put them together first (unique), as one point.",
        _ties_apart,
    ),
    Mistake(
        "not sorted",
        "You pool neighbours in the order given; sort by score first, and the labels with them.",
        _unsorted,
    ),
    Mistake(
        "falling curve",
        "Your curve falls where it should rise: pool where the next value is smaller than the last.",
        _with(lambda means, weights: _min_max(means.flip(0), weights.flip(0)).flip(0)),
    ),
    Mistake(
        "running maximum",
        "You take the largest value so far; that rises, but it is too high: pooled neighbours share their mean.",
        _with(lambda means, weights: means.cummax(0).values),
    ),
    Mistake(
        "running mean",
        "You take the mean of all labels so far; only neighbours that fall are pooled.",
        _with(lambda means, weights: (means * weights).cumsum(0) / weights.cumsum(0)),
    ),
    Mistake(
        "steps",
        "Between two scores you hold the value of the lower one; a straight line from one to the next is wanted.",
        _through(_steps),
    ),
    Mistake(
        "nearest score",
        "You take the value of the nearest score; between two scores the curve is a straight line.",
        _through(_nearest),
    ),
    Mistake(
        "0 and 1 outside",
        "Outside the scores you give 0 and 1, which nobody has seen; the curve stays flat there.",
        _through(_outside(0.0, 1.0)),
    ),
    Mistake(
        "NaN outside",
        "Outside the scores you give NaN; the curve stays flat there (scikit-learn: out_of_bounds='clip').",
        _through(_outside(float("nan"), float("nan"))),
    ),
    Mistake(
        "line goes on",
        "Outside the scores your last piece goes on, even beyond 0 and 1; it stays flat there.",
        _through(_line_goes_on),
    ),
    Mistake(
        "through block centres",
        "You keep one point for each block; all scores of a block are points, so that the curve is flat within it.",
        _through(_through_centres),
    ),
    Mistake(
        "values returned",
        "You return the fitted values; a function is wanted, which gives probabilities at any points.",
        lambda scores, labels: right_isotonic(scores, labels)(scores),
    ),
)
