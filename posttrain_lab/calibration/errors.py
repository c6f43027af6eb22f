"""How far are confidences from hit rates? One number for a set of predictions.

Source: Naeini, Cooper, Hauskrecht (2015); Guo et al. (2017). Left out: bins of equal mass.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def _check(confidence: Tensor, correct: Tensor, bins: int) -> None:
    name = "expected_calibration_error"
    if not (isinstance(confidence, Tensor) and confidence.is_floating_point()):
        got = confidence.dtype if isinstance(confidence, Tensor) else type(confidence).__name__
        raise TypeError(f"{name} wants confidence to be a floating-point Tensor, got {got}; give probabilities.")
    if not isinstance(correct, Tensor) or correct.is_complex():
        got = correct.dtype if isinstance(correct, Tensor) else type(correct).__name__
        raise TypeError(f"{name} wants correct to be a Tensor of bool or 0/1, got {got}; do prediction == labels.")
    if confidence.ndim != 1 or confidence.shape != correct.shape or len(confidence) == 0:
        raise ValueError(
            f"{name} wants confidence [n] and correct [n] with n >= 1, got shapes {list(confidence.shape)} and "
            f"{list(correct.shape)}; give one confidence per example."
        )
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"{name} wants bins to be a whole number >= 1, got {bins!r}; 15 is usual.")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(
            f"{name} wants confidence in [0, 1], got {confidence.min().item():.4g}..{confidence.max().item():.4g}; "
            "give probabilities, not logits."
        )
    if not ((correct == 0) | (correct == 1)).all():
        raise ValueError(f"{name} wants correct to be bool or 0/1, got other values; do prediction == labels.")


def expected_calibration_error(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], bins: int = 15) -> float:
    """How far, on average, is what the model claims from what it delivers? 0 is perfect, 1 is the worst.

    ECE = sum_b (n_b / n) |hit rate of bin b - mean confidence of bin b|
    confidence [n] in [0, 1] is the probability of the predicted class; correct [n] is bool or 0/1. Bins have equal
    width and are closed on the right: bin b of 1..bins holds (b-1)/bins < confidence <= b/bins, and 0 joins the first.
    An edge b/bins is rounded to the dtype of `confidence`. Empty bins add nothing. Sums are in float64.
    Raises TypeError for wrong dtypes; ValueError for empty or mismatched shapes, NaN, confidences outside [0, 1] or
    bins < 1.
    Source: Naeini et al. (2015).

    >>> expected_calibration_error(torch.tensor([0.75, 0.75, 0.75, 0.75]), torch.tensor([True, True, False, False]))
    0.25
    """
    _check(confidence, correct, bins)
    steps = torch.arange(1, bins, dtype=torch.float64, device=confidence.device)
    inner_edges = (steps / bins).to(confidence.dtype).double()
    bin_of = torch.bucketize(confidence.double(), inner_edges, right=False)
    gap = correct.double() - confidence.double()
    gap_of_bin = torch.zeros(bins, dtype=torch.float64, device=gap.device).index_add_(0, bin_of, gap)
    return gap_of_bin.abs().sum().item() / len(gap)
