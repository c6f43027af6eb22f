"""Selective prediction, answers only at high confidence: how many examples are left to people, how often are the others wrong?

Source: El-Yaniv and Wiener (2010); Geifman, Uziel, El-Yaniv (2019).
"""

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from .errors import check_hits


def risk_coverage(
    confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"]
) -> tuple[Float64[Tensor, " k"], Float64[Tensor, " k"]]:
    """If only the examples with the highest confidence are answered, which share of the answers is wrong?

    One point for each of the k different confidences t, from the largest down: coverage = share with confidence >= t,
    risk = share of wrong answers among those. Equal confidences are added together. The last point is (1, error rate).
    confidence [n] in [0, 1], correct [n] bool or 0/1; both results [k] float64, coverage rising.
    Raises as `expected_calibration_error`.

    >>> risk_coverage(torch.tensor([0.5, 0.9, 0.5, 0.7]), torch.tensor([0, 1, 1, 0]))
    (tensor([0.2500, 0.5000, 1.0000], dtype=torch.float64), tensor([0.0000, 0.5000, 0.5000], dtype=torch.float64))
    """
    check_hits("risk_coverage", confidence, correct)
    values, place = confidence.unique(sorted=True, return_inverse=True)
    zeros = torch.zeros(2, len(values), dtype=torch.float64, device=confidence.device)
    groups = zeros.index_add_(1, place, torch.stack([torch.ones_like(correct).double(), (correct == 0).double()]))
    answered, wrong = groups.flip(1).cumsum(dim=1)
    return answered / len(confidence), wrong / answered


def aurc(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"]) -> float:
    """How good is the order of the confidences? The area under the risk-coverage curve; small is good.

    sum_k risk_k (coverage_k - coverage_{k-1}); with n different confidences the mean over all n risks. It depends on order only:
    temperature scaling of a binary model does not change it. Raises as `risk_coverage`. Source: Geifman et al. (2019).

    >>> aurc(torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([1, 1, 1, 0]))
    0.0625
    """
    share, risk = risk_coverage(confidence, correct)
    return (risk * share.diff(prepend=share.new_zeros(1))).sum().item()


def excess_aurc(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"]) -> float:
    """How much of the AURC comes from a bad order? The AURC minus that of the best order: every hit before every error.

    >>> excess_aurc(torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([1, 1, 1, 0]))
    0.0
    """
    check_hits("excess_aurc", confidence, correct)
    n, wrong = len(correct), int((correct == 0).sum())
    answered = torch.arange(n - wrong + 1, n + 1, dtype=torch.float64)
    best = ((answered - (n - wrong)) / answered).sum().item() / n
    return aurc(confidence, correct) - best
