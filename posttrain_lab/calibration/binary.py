"""From a score to the probability of class 1, for binary classification: linear in the log-odds, or any rising curve.

| method    | family                                       | parameters      | needs     |
|-----------|----------------------------------------------|-----------------|-----------|
| Platt     | sigmoid(a s + b)                             | 2               | any score |
| beta      | sigmoid(a log p - b log(1-p) + c), a, b >= 0 | 3               | p         |
| isotonic  | any rising curve                             | grows with n    | any score |
| histogram | a constant per bin                           | number of bins  | p         |

Source: Platt (1999), Kull et al. (2017), Zadrozny and Elkan (2001, 2002). Fit each on the calibration part.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from posttrain_lab.arguments import check_count

from .arguments import (
    check_both_classes,
    check_finite,
    check_floats,
    check_probability,
    check_weights,
    check_zero_one,
)
from .errors import equal_width
from .newton import fit_logistic


def _check_scores(name: str, scores: Tensor, labels: Tensor) -> None:
    check_finite(name, "scores", scores, 1)
    check_zero_one(name, "labels", labels, len(scores))
    check_both_classes(name, labels)


def fit_platt(scores: Float[Tensor, " n"], labels: Shaped[Tensor, " n"]) -> tuple[float, float]:
    """Which linear function turns a score into log-odds? (a, b) of P(y = 1 | s) = sigmoid(a s + b).

    (a, b) minimize the cross-entropy with Platt's targets instead of 0 and 1: (n1 + 1)/(n1 + 2) for label 1 and 1/(n0 + 2)
    for label 0, where n1 and n0 count them. So a and b stay finite when a threshold separates the classes perfectly: sigmoid
    then equals the two targets. scores [n] any real numbers (for example log-odds), labels [n] bool or 0/1.
    Raises TypeError for other dtypes; ValueError for NaN, infinity, only one class, scores that are all equal.
    Source: Platt (1999), eq. 1 and section 2.2 (his a and b have the other sign).

    >>> a, b = fit_platt(torch.tensor([-1.0, -1.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    >>> round(a, 4), round(b, 4)  # sigmoid(a + b) = 3/4, sigmoid(b - a) = 1/4
    (1.0986, 0.0)
    """
    _check_scores("fit_platt", scores, labels)
    s, y = scores.double(), labels.double()
    if s.min() == s.max():
        raise ValueError(f"fit_platt wants scores that differ, got {s[0].item():.4g} {len(s)} times; no line fits one point.")
    yes = y.sum()
    no = len(y) - yes
    target = torch.where(y == 1, (yes + 1) / (yes + 2), 1 / (no + 2))
    a, b = fit_logistic(s[:, None], target)
    return a, b


def apply_platt(scores: Float[Tensor, " n"], a: float, b: float) -> Float[Tensor, " n"]:
    """P(y = 1 | s) = sigmoid(a s + b).

    >>> apply_platt(torch.tensor([0.0, 2.0]), 0.0, 0.0)
    tensor([0.5000, 0.5000])
    """
    check_floats("apply_platt", "scores", scores, 1)
    return torch.sigmoid(a * scores + b)


def pool_adjacent_violators(values: list[float], weights: list[float]) -> list[float]:
    """The rising sequence nearest to `values` in the weighted squared distance.

    From left to right: while the last block's mean is above the next one's, pool the two into their weighted mean.
    Source: Ayer et al. (1955), Barlow et al. (1972).

    >>> pool_adjacent_violators([1.0, 3.0, 0.0], [1.0, 1.0, 2.0])
    [1.0, 1.0, 1.0]
    """
    blocks: list[tuple[float, float, int]] = []  # (weighted sum, weight, how many values)
    for value, weight in zip(values, weights, strict=True):
        total, mass, size = value * weight, weight, 1
        while blocks and blocks[-1][0] * mass >= total * blocks[-1][1]:
            before = blocks.pop()
            total, mass, size = total + before[0], mass + before[1], size + before[2]
        blocks.append((total, mass, size))
    return [total / mass for total, mass, size in blocks for _ in range(size)]


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A rising curve through the points (score, probability), [k] float64 each; linear between them, constant outside.

    Calling it with scores [n] gives probabilities [n] in the dtype of the scores.
    """

    score: Tensor
    probability: Tensor

    def __call__(self, scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        check_floats("Isotonic", "scores", scores, 1)
        s = scores.detach().double().clamp(self.score[0], self.score[-1])
        right = torch.searchsorted(self.score, s).clamp(min=1, max=len(self.score) - 1) if len(self.score) > 1 else 0
        left = right - 1 if len(self.score) > 1 else 0
        return _between(s, self.score[left], self.score[right], self.probability[left], self.probability[right]).to(scores.dtype)


def _between(s: Tensor, left: Tensor, right: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The line from (left, low) to (right, high) at s: by the share of the way, as a slope may be infinite where this share is not."""
    way = right - left
    share = torch.where(way.isinf(), (s / 2 - left / 2) / (right / 2 - left / 2), (s - left) / torch.where(way == 0, 1.0, way))
    return torch.minimum(low + share * (high - low), high)


def fit_isotonic(
    scores: Float[Tensor, " n"], labels: Shaped[Tensor, " n"], weights: Float[Tensor, " n"] | None = None
) -> Isotonic:
    """Which rising curve turns a score into the probability of class 1, when nothing else is assumed?

    The rising values nearest to the labels in the squared distance, by pooling adjacent violators. Equal scores are first made
    one point: their (weighted) mean, with their total weight. Between points the curve is linear, outside it is constant.
    scores [n] real, labels [n] bool or 0/1, weights [n] >= 0 (none: 1 each; an example of weight 0 is left out).
    The result is a frozen callable. Needs some hundred examples: with few it overfits and jumps from 0 to 1.
    Raises TypeError for other dtypes; ValueError for NaN, infinity, only one class, negative weights, all weights 0.
    Source: Zadrozny and Elkan (2002).

    >>> curve = fit_isotonic(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0, 1, 0, 1]))
    >>> curve(torch.tensor([0.0, 1.5, 2.0, 9.0]))
    tensor([0.0000, 0.2500, 0.5000, 1.0000])
    """
    _check_scores("fit_isotonic", scores, labels)
    check_weights("fit_isotonic", weights, len(scores))
    w = torch.ones(len(scores), dtype=torch.float64) if weights is None else weights.double()
    s, y, w = (v[w > 0] for v in (scores.double(), labels.double(), w))
    score, place = s.unique(sorted=True, return_inverse=True)
    mass, hits = (torch.zeros(len(score), dtype=torch.float64).index_add_(0, place, v) for v in (w, w * y))
    fitted = pool_adjacent_violators((hits / mass).tolist(), mass.tolist())
    return Isotonic(score, torch.tensor(fitted, dtype=torch.float64).clamp(0, 1))


@dataclass(frozen=True)
class Beta:
    """P = sigmoid(a log p - b log(1 - p) + c), with a, b >= 0. Calling it with p [n] gives probabilities [n]."""

    a: float
    b: float
    c: float

    def __call__(self, probability: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        check_probability("Beta", "probability", probability)
        features = beta_features(probability)
        return torch.sigmoid(features @ features.new_tensor([self.a, self.b]) + self.c).to(probability.dtype)


def beta_features(probability: Tensor) -> Tensor:
    """[log p, -log(1 - p)] as [n, 2] float64; 0 and 1 are moved inside the interval by the smallest normal float32."""
    p = probability.double()
    least = torch.finfo(torch.float32).tiny
    return torch.stack([p.clamp(min=least).log(), -(1 - p).clamp(min=least).log()], dim=1)


def fit_beta(probability: Float[Tensor, " n"], labels: Shaped[Tensor, " n"]) -> Beta:
    """Which curve corrects a probability, when the miscalibration is not the same near 0 and near 1?

    P = sigmoid(a log p - b log(1 - p) + c); a = b = 1, c = 0 leaves p as it is, which Platt's curve of p cannot. With a
    negative a or b the curve would fall: it is set to 0 and the others are fitted again.
    probability [n] in [0, 1], labels [n] bool or 0/1. Raises TypeError or ValueError as `fit_platt`, and for values outside
    [0, 1]; ValueError when a threshold separates the classes perfectly (no finite curve is best then).
    Source: Kull, Silva Filho, Flach (2017).

    >>> curve = fit_beta(torch.tensor([0.5, 0.5, 0.5, 0.8, 0.8, 0.8]), torch.tensor([0, 0, 1, 0, 1, 1]))
    >>> curve(torch.tensor([0.5, 0.8]))
    tensor([0.3333, 0.6667])
    """
    check_probability("fit_beta", "probability", probability)
    _check_scores("fit_beta", probability, labels)
    y, x = labels.double(), beta_features(probability)
    if x[:, 0].min() == x[:, 0].max():
        raise ValueError("fit_beta wants probabilities that differ, got one value only; no curve fits one point.")
    if x[y == 1, 0].min() >= x[y == 0, 0].max() or x[y == 1, 0].max() <= x[y == 0, 0].min():
        raise ValueError(
            "fit_beta found a threshold that separates the classes perfectly: no finite curve is best. Use more data or fit_platt."
        )
    a, b, c = fit_logistic(x, y)
    if a < 0 or b < 0:
        kept = 0 if b < 0 else 1  # the feature that rises
        slope, c = fit_logistic(x[:, [kept]], y)
        a, b = (slope, 0.0) if kept == 0 else (0.0, slope)
        if slope < 0:
            a, b, c = 0.0, 0.0, torch.logit(y.mean()).item()
    return Beta(a, b, c)


@dataclass(frozen=True, eq=False)
class Histogram:
    """A probability for each bin of equal width, [bins] float64. Calling it with p [n] gives probabilities [n]."""

    probability: Tensor

    def __call__(self, probability: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        check_probability("Histogram", "probability", probability)
        return self.probability[equal_width(probability, len(self.probability))].to(probability.dtype)


def fit_histogram(probability: Float[Tensor, " n"], labels: Shaped[Tensor, " n"], bins: int = 15) -> Histogram:
    """Which share of the examples of each bin has label 1? This share becomes the probability of all examples in the bin.

    Bins of equal width, closed on the right. An empty bin gets its center. Raises as `fit_platt`, and ValueError
    for values outside [0, 1], bins < 1 or more bins than examples. Source: Zadrozny and Elkan (2001).

    >>> fit_histogram(torch.tensor([0.1, 0.2, 0.3, 0.9]), torch.tensor([0, 0, 1, 1]), bins=2)(torch.tensor([0.25]))
    tensor([0.3333])
    """
    check_probability("fit_histogram", "probability", probability)
    _check_scores("fit_histogram", probability, labels)
    check_count("fit_histogram", "bins", bins)
    if bins > len(labels):
        raise ValueError(f"fit_histogram wants bins <= n, got {bins} bins for {len(labels)} examples; use fewer.")
    bin_of = equal_width(probability, bins)
    count = torch.bincount(bin_of, minlength=bins)
    hits = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, labels.double())
    middle = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins
    return Histogram(torch.where(count > 0, hits / count.clamp(min=1), middle))
