"""How far are confidences from hit rates? Bins, and one number for a set of predictions.

Every error here compares, bin by bin, the mean confidence with the hit rate (the share of right answers). The estimates differ in
their bins: equal width, equal mass, or one set of bins for each class.

Source: Naeini, Cooper, Hauskrecht (2015); Guo et al. (2017); Nguyen and O'Connor (2015); Kull et al. (2019).
Left out: the bias of these estimates and their intervals (estimates.py).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Integer, Shaped
from torch import Tensor

from posttrain_lab.arguments import check_count

from .arguments import check_labels, check_probabilities, check_zero_one, outside


def check_hits(name: str, confidence: Tensor, correct: Tensor, bins: int = 1) -> None:
    """Raise unless confidence is [n] in [0, 1], correct [n] is 0/1 and bins a whole number >= 1."""
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
    check_count(name, "bins", bins)
    if not ((confidence >= 0) & (confidence <= 1)).all():
        got = outside(confidence.min().item(), confidence.max().item(), "give probabilities, not logits")
        raise ValueError(f"{name} wants confidence in [0, 1], got {got}.")
    check_zero_one(name, "correct", correct, len(confidence))


def equal_width(confidence: Float[Tensor, " n"], bins: int) -> Int64[Tensor, " n"]:
    """In which of `bins` bins of equal width does each confidence lie? Numbers 0..bins-1.

    Closed on the right: bin b holds b/bins < confidence <= (b+1)/bins, and 0 joins the first. An edge is rounded to the
    dtype of `confidence`.

    >>> equal_width(torch.tensor([0.0, 0.5, 0.51, 1.0]), bins=2).tolist()
    [0, 0, 1, 1]
    """
    steps = torch.arange(1, bins, dtype=torch.float64, device=confidence.device)
    inner_edges = (steps / bins).to(confidence.dtype).double()
    return torch.bucketize(confidence.double().contiguous(), inner_edges, right=False)


def equal_mass(confidence: Float[Tensor, " n"], bins: int) -> Int64[Tensor, " n"]:
    """In which of `bins` bins with about n / bins examples each does a confidence lie? Numbers 0..bins-1.

    bin = floor(bins * rank / n), where rank counts the examples with a strictly smaller confidence. So equal
    confidences share a bin, and the order of the examples does not matter. Many equal ones leave bins empty.

    >>> equal_mass(torch.tensor([0.9, 0.1, 0.5, 0.5]), bins=2).tolist()
    [1, 0, 0, 0]
    """
    rank = torch.searchsorted(confidence.sort().values.contiguous(), confidence.contiguous(), right=False)
    return bins * rank // len(confidence)


def bin_gaps(bin_of: Tensor, confidence: Tensor, correct: Tensor, bins: int) -> Tensor:
    """sum over the bin of (correct - confidence), [bins] float64: divided by n, the signed share of each bin in the ECE."""
    gap = correct.double() - confidence.double()
    return torch.zeros(bins, dtype=torch.float64, device=gap.device).index_add_(0, bin_of, gap)


def expected_calibration_error(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], bins: int = 15) -> float:
    """How large is, on average, the gap between confidence and hit rate? 0 is perfect, 1 is the worst.

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
    check_hits("expected_calibration_error", confidence, correct, bins)
    gaps = bin_gaps(equal_width(confidence, bins), confidence, correct, bins)
    return gaps.abs().sum().item() / len(confidence)


def adaptive_ece(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], bins: int = 15) -> float:
    """The calibration error with bins of equal mass: each has about equally many examples.

    bin = floor(bins * rank / n), rank = how many confidences are strictly smaller: equal ones share a bin (see `equal_mass`).
    Where nearly all confidences lie near 1, most bins of equal width are empty; these are not.
    Raises as `expected_calibration_error`, and ValueError when n < bins: bins of equal mass do not exist then.
    Source: Nguyen and O'Connor (2015).

    >>> adaptive_ece(torch.tensor([0.5, 0.5, 0.75, 0.75]), torch.tensor([0, 0, 1, 1]), bins=2)
    0.375
    """
    check_hits("adaptive_ece", confidence, correct, bins)
    _check_enough("adaptive_ece", len(confidence), bins)
    gaps = bin_gaps(equal_mass(confidence, bins), confidence, correct, bins)
    return gaps.abs().sum().item() / len(confidence)


def _check_enough(name: str, n: int, bins: int) -> None:
    if n < bins:
        raise ValueError(f"{name} wants at least one example per bin, got n={n} and bins={bins}; use fewer bins or more data.")


def maximum_calibration_error(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], bins: int = 15) -> float:
    """How large is the gap in the worst bin? max_b |hit rate - mean confidence| over the bins that are not empty.

    Bins of equal width as in `expected_calibration_error`. A bin with one example counts as much as any other, so this
    number varies much by chance: look at the counts. Raises as `expected_calibration_error`. Source: Naeini et al. (2015).

    >>> maximum_calibration_error(torch.tensor([0.75, 0.75, 0.25]), torch.tensor([1, 1, 1]), bins=2)
    0.75
    """
    check_hits("maximum_calibration_error", confidence, correct, bins)
    bin_of = equal_width(confidence, bins)
    counts = torch.bincount(bin_of, minlength=bins).clamp(min=1)
    return (bin_gaps(bin_of, confidence, correct, bins).abs() / counts).max().item()


def classwise_ece(probabilities: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], bins: int = 15) -> float:
    """Is every class's probability right, not only that of the predicted class? The mean over the classes of their ECE.

    (1/c) sum_k ECE(probabilities[:, k], labels == k), bins of equal width.
    Raises TypeError or ValueError for rows that are not probabilities, labels that are no class, bins < 1.
    Source: Kull et al. (2019).

    >>> classwise_ece(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 0]))
    0.25
    """
    check_probabilities("classwise_ece", probabilities)
    check_labels("classwise_ece", labels, len(probabilities), probabilities.shape[1])
    each = [expected_calibration_error(p.clamp(max=1), labels == k, bins) for k, p in enumerate(probabilities.unbind(1))]
    return sum(each) / len(each)


@dataclass(frozen=True, eq=False)
class Reliability:
    """The bins of a reliability diagram, [bins] each: lower and upper edge, count, mean confidence and hit rate.

    Mean confidence and hit rate of an empty bin are NaN. Edges of equal-mass bins are the smallest and largest
    confidence inside.
    """

    low: Tensor
    high: Tensor
    count: Tensor
    confidence: Tensor
    hit_rate: Tensor


def reliability(
    confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], bins: int = 15, mass: bool = False
) -> Reliability:
    """What is the mean confidence of each bin, its hit rate, and its number of examples?

    mass False: bins of equal width, as in `expected_calibration_error`; True: of equal mass, as in `adaptive_ece`.
    Raises as these do.

    >>> reliability(torch.tensor([0.25, 0.75, 0.75]), torch.tensor([0, 1, 0]), bins=2).hit_rate.tolist()
    [0.0, 0.5]
    """
    check_hits("reliability", confidence, correct, bins)
    if mass:
        _check_enough("reliability", len(confidence), bins)
    bin_of = equal_mass(confidence, bins) if mass else equal_width(confidence, bins)
    count = torch.bincount(bin_of, minlength=bins)
    sums = torch.zeros(2, bins, dtype=torch.float64, device=confidence.device)
    sums.index_add_(1, bin_of, torch.stack([confidence.double(), correct.double()]))
    edges = torch.arange(bins + 1, dtype=torch.float64, device=confidence.device) / bins
    low, high = edges[:-1], edges[1:]
    if mass:
        blank = torch.full((bins,), torch.nan, dtype=torch.float64, device=confidence.device)
        low = blank.scatter_reduce(0, bin_of, confidence.double(), "amin", include_self=False)
        high = blank.scatter_reduce(0, bin_of, confidence.double(), "amax", include_self=False)
    return Reliability(low, high, count, sums[0] / count, sums[1] / count)
