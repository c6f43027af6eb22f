"""Known mistakes of `fit_isotonic`: other values at the scores, or another curve through them."""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.calibration.fit_isotonic_oracle import Curve, curve, distinct, min_max, right_isotonic
from posttrain_lab.checks.engine.exercise import Mistake


def _pooled(means: Tensor, weights: Tensor, weigh: bool = True, rounds: int = 10**6) -> Tensor:
    """Pool falling neighbours; without `weigh` by the plain mean of the two values; at most `rounds` passes from left to right."""
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


def _with(
    heights: Callable[[Tensor, Tensor], Tensor], through: Callable[[Tensor, Tensor], Curve] = curve
) -> Callable[..., Curve]:
    def fit(scores: Tensor, labels: Tensor) -> Curve:
        values, means, weights = distinct(scores, labels)
        return through(values, heights(means, weights))

    return fit


def _through(through: Callable[[Tensor, Tensor], Curve]) -> Callable[..., Curve]:
    return _with(min_max, through)


def _steps(values: Tensor, heights: Tensor) -> Curve:
    """The value at the last score that is not above the point."""
    return lambda points: heights[(torch.searchsorted(values, points.double().contiguous(), right=True) - 1).clamp(min=0)]


def _nearest(values: Tensor, heights: Tensor) -> Curve:
    return lambda points: heights[(points.double()[:, None] - values).abs().argmin(1)]


def _outside(low: float, high: float) -> Callable[[Tensor, Tensor], Curve]:
    def made(values: Tensor, heights: Tensor) -> Curve:
        def at(points: Tensor) -> Tensor:
            inside = torch.where(points < values[0], low, curve(values, heights)(points))
            return torch.where(points > values[-1], high, inside)

        return at

    return made


def _extrapolated(values: Tensor, heights: Tensor) -> Curve:
    """The first and the last line are extrapolated."""

    def at(points: Tensor) -> Tensor:
        if len(values) == 1:
            return curve(values, heights)(points)
        x = points.double().contiguous()
        right = torch.searchsorted(values, x).clamp(1, len(values) - 1)
        slope = (heights[right] - heights[right - 1]) / (values[right] - values[right - 1])
        return heights[right - 1] + slope * (x - values[right - 1])

    return at


def _through_centres(values: Tensor, heights: Tensor) -> Curve:
    """One point for each block, at the mean of its scores."""
    levels, block = heights.unique(return_inverse=True)
    return curve(torch.stack([values[block == b].mean() for b in range(len(levels))]), levels)


def _ties_apart(scores: Tensor, labels: Tensor) -> Curve:
    """Equal scores as separate points, in the order given; the last of them is the value at the score."""
    order = scores.argsort(stable=True)
    heights = min_max(labels[order].double(), torch.ones(len(order)).double())
    values = scores.double()[order]
    last = torch.cat([values[1:] != values[:-1], torch.tensor([True])])
    return curve(values[last], heights[last])


def _unsorted(scores: Tensor, labels: Tensor) -> Curve:
    """Pooled in the order given."""
    heights = min_max(labels.double(), torch.ones(len(labels)).double())
    values, place = scores.double().unique(return_inverse=True)
    return curve(values, torch.zeros(len(values)).double().scatter(0, place, heights))


ISOTONIC_MISTAKES = (
    Mistake(
        "block sizes forgotten",
        "You pool two blocks to the plain mean of their values; use the mean weighted by their numbers of examples.",
        _with(lambda means, weights: _pooled(means, weights, weigh=False)),
    ),
    Mistake(
        "equal scores weigh one",
        "You give a point of several examples with equal scores the weight of one; its weight is their number.",
        _with(lambda means, weights: min_max(means, torch.ones_like(weights))),
    ),
    Mistake(
        "one round",
        "You make one pass; a pooled block can be below the one before it, so compare again until nothing falls.",
        _with(lambda means, weights: _pooled(means, weights, rounds=1)),
    ),
    Mistake(
        "nothing pooled",
        "You use the mean labels as they are, so the curve falls wherever a 0 follows a 1; pool falling neighbours.",
        _with(lambda means, weights: means),
    ),
    Mistake(
        "equal scores apart",
        "Examples with equal scores get different values; first combine them into one point (unique).",
        _ties_apart,
    ),
    Mistake(
        "not sorted",
        "You pool neighbours in the order given; sort scores and labels by score first.",
        _unsorted,
    ),
    Mistake(
        "falling curve",
        "Your curve falls where it should rise: pool where a value is smaller than the one before.",
        _with(lambda means, weights: min_max(means.flip(0), weights.flip(0)).flip(0)),
    ),
    Mistake(
        "running maximum",
        "You take the largest value so far, which rises but is too high; give pooled neighbours their mean.",
        _with(lambda means, weights: means.cummax(0).values),
    ),
    Mistake(
        "running mean",
        "You take the mean of all labels so far; pool only neighbours that fall.",
        _with(lambda means, weights: (means * weights).cumsum(0) / weights.cumsum(0)),
    ),
    Mistake(
        "steps",
        "Between two scores you use the value of the lower one; interpolate linearly.",
        _through(_steps),
    ),
    Mistake(
        "nearest score",
        "You take the value of the nearest score; interpolate linearly between two scores.",
        _through(_nearest),
    ),
    Mistake(
        "0 and 1 outside",
        "Outside the scores you return 0 and 1; the curve is constant there: return the first or the last value.",
        _through(_outside(0.0, 1.0)),
    ),
    Mistake(
        "NaN outside",
        "Outside the scores you return NaN; the curve is constant there (scikit-learn: out_of_bounds='clip').",
        _through(_outside(float("nan"), float("nan"))),
    ),
    Mistake(
        "extrapolated",
        "You extrapolate outside the scores, even beyond 0 and 1; the curve is constant there.",
        _through(_extrapolated),
    ),
    Mistake(
        "through block centres",
        "You use one point for each block; use all scores of a block as points, so that the curve is constant within it.",
        _through(_through_centres),
    ),
    Mistake(
        "values returned",
        "You return the fitted values; return a function that gives probabilities at any points.",
        lambda scores, labels: right_isotonic(scores, labels)(scores),
    ),
)
