"""Proper scores: on average they are smallest exactly when the probabilities are the true ones.

Source: Gneiting and Raftery (2007); Brier (1950); Murphy (1973).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer, Shaped
from torch import Tensor

from posttrain_lab.arguments import check_count

from .arguments import check_floats, check_labels, check_probabilities, check_probability, check_zero_one
from .errors import equal_width


def nll(logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> float:
    """How small are the probabilities of the true classes? The mean negative log-likelihood, in nats per example; 0 is perfect.

    nll = (1/n) sum_i (log sum_k exp(logits[i, k]) - logits[i, labels[i]])
    logits [n, c] (before softmax), labels [n] in 0..c-1; computed in float64 and stable for logits of any size. The logit of a
    class that is ruled out is -inf. Raises TypeError for other dtypes; ValueError for empty or mismatched shapes, NaN, +inf, labels
    outside the classes or ruled out.

    >>> nll(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]), torch.tensor([0, 0]))
    500.0
    """
    check_floats("nll", "logits", logits, 2)
    check_labels("nll", labels, *logits.shape)
    if logits.isposinf().any():
        raise ValueError("nll wants logits below infinity, got +inf; look for the layer that made it.")
    if (out := logits.gather(1, labels.long()[:, None]).isneginf()).any():
        raise ValueError(
            f"nll wants labels of classes that are not ruled out, got a logit of -inf for the label of row {int(out.long().argmax())}; "
            "the loss would be infinite."
        )
    return torch.nn.functional.cross_entropy(logits.double(), labels.long()).item()


def brier(probabilities: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> float:
    """How large is the squared distance between the probabilities and the true class? 0 is perfect, 2 the worst.

    brier = (1/n) sum_i sum_k (probabilities[i, k] - [labels[i] = k])^2, over ALL classes.
    probabilities [n, c], used as they are, also where rounding lets a row sum to 0.99; labels [n] in 0..c-1. For two classes
    this is twice the score of the probability of class 1 alone. Raises TypeError for other dtypes; ValueError for rows that are
    not probabilities (logits are recognized, and sums that miss 1 by more than 0.09), empty or mismatched shapes, labels
    outside the classes.
    Source: Brier (1950).

    >>> brier(torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([0]))
    0.375
    """
    check_probabilities("brier", probabilities, slack=0.09)
    check_labels("brier", labels, *probabilities.shape)
    truth = torch.nn.functional.one_hot(labels.long(), probabilities.shape[1])
    return (probabilities.double() - truth).square().sum(dim=1).mean().item()


@dataclass(frozen=True)
class BrierParts:
    """score = reliability - resolution + uncertainty + within. All are >= 0, except `within`."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier_decomposition(probability: Float[Tensor, " n"], labels: Shaped[Tensor, " n"], bins: int = 15) -> BrierParts:
    """Does a bad Brier score come from calibration, from low resolution, or from the task? For binary classification.

    score        mean (p - y)^2
    reliability  sum_b n_b/n (mean p - mean y)^2: miscalibration, 0 is best
    resolution   sum_b n_b/n (mean y of b - mean y)^2: how well the bins tell cases apart, large is good
    uncertainty  mean y (1 - mean y): depends on the task alone
    within       variation inside the bins: sum_b n_b/n (var p - 2 cov(p, y)) in each; 0 when p is constant in each
    The four add up to the score exactly. Bins of equal width. A constant p = mean y has reliability 0 and resolution 0:
    perfectly calibrated and useless. probability [n] in [0, 1] of y = 1; labels [n] bool or 0/1.
    Raises TypeError or ValueError for other values. Source: Murphy (1973); `within` after Stephenson et al. (2008).

    >>> brier_decomposition(torch.tensor([0.5, 0.5]), torch.tensor([0, 1]))
    BrierParts(score=0.25, reliability=0.0, resolution=0.0, uncertainty=0.25, within=0.0)
    """
    check_probability("brier_decomposition", "probability", probability)
    check_zero_one("brier_decomposition", "labels", labels, len(probability))
    check_count("brier_decomposition", "bins", bins)
    p, y = probability.double(), labels.double()
    bin_of = equal_width(probability, bins)
    count = torch.bincount(bin_of, minlength=bins).clamp(min=1)
    mean_p, mean_y = (torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, v) / count for v in (p, y))
    away_p, away_y = p - mean_p[bin_of], y - mean_y[bin_of]
    return BrierParts(
        score=(p - y).square().mean().item(),
        reliability=(mean_p - mean_y)[bin_of].square().mean().item(),
        resolution=(mean_y[bin_of] - y.mean()).square().mean().item(),
        uncertainty=(y.mean() * (1 - y.mean())).item(),
        within=(away_p.square() - 2 * away_p * away_y).mean().item(),
    )
