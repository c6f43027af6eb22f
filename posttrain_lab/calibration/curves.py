"""Every threshold at once: the ROC and the precision-recall curve of a score, with intervals.

Both depend on the order of the scores only: a rising map, such as a calibration map, does not change them. So a model can rank well
and be badly calibrated, and the reverse.

Source: Fawcett (2006); DeLong, DeLong, Clarke-Pearson (1988); Davis and Goadrich (2006); Wilson (1927).
"""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .arguments import check_both_classes, check_finite, check_share, check_zero_one
from .estimates import Interval


@dataclass(frozen=True, eq=False)
class Roc:
    """[k + 1] float64 each, from the highest threshold (infinity: no alarm) down to the lowest score (all alarms).

    true_rate: share of the ones with score >= threshold (sensitivity, recall); false_rate: share of the zeros. `*_low`, `*_high` are
    95 % Wilson intervals at each threshold on its own.
    """

    threshold: Tensor
    false_rate: Tensor
    false_low: Tensor
    false_high: Tensor
    true_rate: Tensor
    true_low: Tensor
    true_high: Tensor


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """[k] float64 each, from the highest score down: share of alarms that are true, and share of the ones that are found."""

    threshold: Tensor
    precision: Tensor
    precision_low: Tensor
    precision_high: Tensor
    recall: Tensor


def _wilson(hits: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """The 95 % Wilson interval of hits / n, elementwise; n = 0 gives 0..1."""
    z = NormalDist().inv_cdf(0.975)
    safe = n.clamp(min=1)
    p = hits / safe
    center, width = (p + z * z / (2 * safe)), z * (p * (1 - p) / safe + z * z / (4 * safe * safe)).sqrt()
    low, high = ((center + sign * width) / (1 + z * z / safe) for sign in (-1, 1))
    return torch.where(n > 0, low, 0.0).clamp(0, 1), torch.where(n > 0, high, 1.0).clamp(0, 1)


def _check(name: str, scores: Tensor, labels: Tensor) -> None:
    check_finite(name, "scores", scores, 1)
    check_zero_one(name, "labels", labels, len(scores))
    check_both_classes(name, labels)


def _alarms(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Different scores from the highest down, and how many ones and zeros have at least that score."""
    values, place = scores.double().unique(sorted=True, return_inverse=True)
    zeros = torch.zeros(2, len(values), dtype=torch.float64)
    counts = zeros.index_add_(1, place, torch.stack([(labels != 0).double(), (labels == 0).double()]))
    true, false = counts.flip(1).cumsum(dim=1)
    return values.flip(0), true, false


def roc_curve(scores: Float[Tensor, " n"], labels: Shaped[Tensor, " n"]) -> Roc:
    """For every threshold: which share of the ones is found, at which share of false alarms among the zeros?

    scores [n] finite, larger = more likely 1; labels [n] bool or 0/1. Equal scores are added together.
    Raises TypeError for other dtypes; ValueError for NaN, infinity, only one class. Source: Fawcett (2006).

    >>> curve = roc_curve(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([1, 1, 0, 0]))
    >>> curve.false_rate.tolist(), curve.true_rate.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    _check("roc_curve", scores, labels)
    threshold, true, false = _alarms(scores, labels)
    start = threshold.new_zeros(1)
    true, false, threshold = torch.cat([start, true]), torch.cat([start, false]), torch.cat([start + torch.inf, threshold])
    rates = [(each / each[-1], *_wilson(each, each[-1].expand_as(each))) for each in (false, true)]
    return Roc(threshold, *rates[0], *rates[1])


def roc_auc(scores: Float[Tensor, " n"], labels: Shaped[Tensor, " n"], level: float = 0.95) -> Interval:
    """How often does a one score higher than a zero? The area under the ROC curve, with DeLong's interval.

    auc = P(score of a one > score of a zero) + P(equal) / 2. The variance comes from how much each example's share of correctly
    ordered pairs varies; the interval is auc -+ z sd, clamped to [0, 1].
    Raises as `roc_curve`, and ValueError for a level outside (0, 1). Source: DeLong et al. (1988).

    >>> roc_auc(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([1, 1, 0, 0])).value
    0.875
    """
    _check("roc_auc", scores, labels)
    check_share("roc_auc", "level", level)
    ones, zeros = scores[labels != 0].double(), scores[labels == 0].double()

    def share_ordered(own: Tensor, others: Tensor) -> Tensor:
        others = others.sort().values
        below = torch.searchsorted(others, own, right=False) + torch.searchsorted(others, own, right=True)
        return below.double() / (2 * len(others))

    of_ones, of_zeros = share_ordered(ones, zeros), share_ordered(zeros, ones)
    value = of_ones.mean().item()
    spread = sum(v.var().item() / len(v) for v in (of_ones, of_zeros) if len(v) > 1) ** 0.5
    half = NormalDist().inv_cdf((1 + level) / 2) * spread
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0), level)


def precision_recall(scores: Float[Tensor, " n"], labels: Shaped[Tensor, " n"]) -> PrecisionRecall:
    """For every threshold: which share of the alarms is true, and which share of the ones is found?

    Unlike the ROC curve it depends on how rare the ones are: where they are rare, it shows how many of the alarms are true.
    Raises as `roc_curve`. Source: Davis and Goadrich (2006).

    >>> curve = precision_recall(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([1, 1, 0, 0]))
    >>> curve.recall.tolist(), [round(p, 3) for p in curve.precision.tolist()]
    ([0.5, 1.0, 1.0], [1.0, 0.667, 0.5])
    """
    _check("precision_recall", scores, labels)
    threshold, true, false = _alarms(scores, labels)
    return PrecisionRecall(threshold, true / (true + false), *_wilson(true, true + false), true / true[-1])


def average_precision(scores: Float[Tensor, " n"], labels: Shaped[Tensor, " n"]) -> float:
    """One number for the precision-recall curve: sum_k precision_k (recall_k - recall_{k-1}). A random order has the share of ones.

    For an interval: `bootstrap_interval(average_precision, scores, labels)`. Raises as `roc_curve`.

    >>> average_precision(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([1, 1, 0, 0])) == 0.5 * 1 + 0.5 * 2 / 3
    True
    """
    curve = precision_recall(scores, labels)
    return (curve.precision * curve.recall.diff(prepend=curve.recall.new_zeros(1))).sum().item()
