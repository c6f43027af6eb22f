"""Cases and known mistakes of `expected_calibration_error` and `adaptive_ece`: how far are confidences from hit rates?

Conventions that the notebook states in the same words:
- both: sum over bins of (n_b / n) |hit rate - mean confidence|, a plain float; empty bins add nothing; `correct` is bool;
- equal width: bin b of 1..bins holds (b-1)/bins < confidence <= b/bins, and a confidence of 0 joins the first bin;
- equal mass: an example with r strictly smaller confidences goes into bin floor(r * bins / n), so equal confidences share a bin.

An edge b/bins that is no binary fraction is rounded differently by torch.linspace, by a division and by numpy. So confidences lie on edges
only where `bins` is a power of two; elsewhere they keep 2 % of a bin away from them.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake

Bins = list[tuple[int, float, float]]  # of the bins that hold something: how many, mean confidence, hit rate


def _gathered(places: Iterable[int], confidence: Tensor, correct: Tensor) -> Bins:
    """What lies in each bin, by plain Python."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for place, c, hit in zip(places, confidence.tolist(), correct.tolist(), strict=True):
        bins.setdefault(place, []).append((c, hit))
    return [(len(b), math.fsum(c for c, _ in b) / len(b), sum(hit for _, hit in b) / len(b)) for _, b in sorted(bins.items())]


def _weighted(bins: Bins) -> float:
    return sum(n * abs(hit - c) for n, c, hit in bins) / sum(n for n, _, _ in bins)


def _of_width(confidence: Tensor, bins: int) -> list[int]:
    return [max(1, math.ceil(c * bins)) for c in confidence.tolist()]


def _of_mass(confidence: Tensor, bins: int) -> list[int]:
    values = confidence.tolist()
    return [sum(other < c for other in values) * bins // len(values) for c in values]


def right_ece(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    return _weighted(_gathered(_of_width(confidence, bins), confidence, correct))


def right_adaptive(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    return _weighted(_gathered(_of_mass(confidence, bins), confidence, correct))


def _claims(draw: Draw, n: int, bins: int, low: float = 0.0) -> Tensor:
    """Confidences [n] above `low` that crowd near 1 and keep away from the edges of the bins."""
    x = (low + (1 - low) * (1 - draw.uniform(0, 1, n) ** 2)) * bins
    return (x.floor().clamp(max=bins - 1) + 0.02 + 0.96 * (x - x.floor())) / bins


def _hits(draw: Draw, confidence: Tensor) -> Tensor:
    """bool [n]: small confidences are too modest, large ones too bold, so that signed gaps cancel in part."""
    return draw.uniform(0, 1, len(confidence)) < 0.35 + 0.4 * confidence


def _scored(draw: Draw, n: int, bins: int, low: float = 0.0) -> tuple[Tensor, Tensor]:
    confidence = _claims(draw, n, bins, low)
    return confidence, _hits(draw, confidence)


def _on_edges(draw: Draw, bins: int) -> tuple[Tensor, Tensor]:
    """All edges and the middle between them: at the edges wrong below one half and right above, between them the other way round."""
    edges = torch.arange(bins + 1) / bins
    middles = (torch.arange(bins) + 0.5) / bins
    confidence = torch.cat([edges, edges, middles, torch.full((draw.whole(1, 4),), 1.0)])
    order = torch.tensor(draw.shuffled(range(len(confidence))))
    correct = torch.cat([edges >= 0.5, edges >= 0.5, middles < 0.5, torch.zeros(len(confidence) - 3 * bins - 2).bool()])
    return confidence[order], correct[order]


def ece_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "expected")
    n, many, bins = 2 * draw.whole(20, 45) + 1, draw.whole(150, 300), draw.whole(6, 12)
    confidence, correct = _scored(draw, many, bins)
    return [
        Case("two bins of different size", _two_bins(draw)),
        Case("the usual 15 bins", _scored(draw, n, 15, 0.3)),
        Case(f"{bins} bins", (confidence, correct, bins)),
        Case("bins by name, a view that is not contiguous", (strided(confidence), correct), {"bins": bins}),
        Case("confidences on the edges of the bins, 0 and 1 among them", (*_on_edges(draw, 8), 8)),
        Case("confidences of exactly 1 alone", (torch.ones(n), draw.uniform(0, 1, n) < 0.6, bins)),
        Case("confidences of exactly 0 alone", (torch.zeros(n), draw.uniform(0, 1, n) < 0.6, bins)),
        Case("more bins than examples, so most are empty", (*_scored(draw, 5, 40), 40)),
        Case("one bin", (*_scored(draw, n, 1), 1)),
        Case("one example, wrong", (_claims(draw, 1, 15, 0.5), torch.tensor([False]))),
        Case("float64", (confidence.double(), correct, bins)),
        Case("all confidences close together", (0.51 + 0.02 * draw.uniform(0, 1, n), draw.uniform(0, 1, n) < 0.8, 4)),
    ]


def _two_bins(draw: Draw) -> tuple[Tensor, Tensor, int]:
    """Bold in a large bin, modest in a small one."""
    large, small = draw.whole(9, 14), draw.whole(2, 4)
    confidence = torch.cat([draw.uniform(0.8, 0.95, large), draw.uniform(0.1, 0.4, small)])
    return confidence, torch.cat([torch.arange(large) < 4, torch.ones(small).bool()]), 2


def adaptive_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "adaptive_ece")
    bins = draw.whole(5, 9)
    n = bins * draw.whole(5, 9) + draw.whole(1, bins - 1)
    confidence, correct = _scored(draw, n, 15, 0.2)
    few = draw.whole(4, 6) / 8
    tied = torch.where(draw.uniform(0, 1, n) < 0.5, few, confidence)
    return [
        Case("twice as many examples as bins", (*_scored(draw, 2 * bins, 15), bins)),
        Case("bins that cannot all have the same size", (confidence, correct, bins)),
        Case("15 bins", _scored(draw, 47, 15, 0.3)),
        Case("bins by name, a view that is not contiguous", (strided(confidence), correct), {"bins": 4}),
        Case("half of the confidences equal", (tied, correct, bins)),
        Case("three different confidences", (draw.codes(1, 3, n).float() / 4, correct, bins)),
        Case("the larger half equal, and modest", (*_upper_half_equal(draw, bins), bins)),
        Case("equal confidences whose first half is right", (torch.full((2 * bins,), few), torch.arange(2 * bins) < bins, bins)),
        Case("most confidences close to 1", (1 - 0.02 * draw.uniform(0, 1, n), draw.uniform(0, 1, n) < 0.9, bins)),
        Case("one bin", (*_scored(draw, n, 1), 1)),
        Case("one example", (_claims(draw, 1, 15), torch.tensor([True]), 1)),
        Case("float64", (confidence.double(), correct, 3)),
    ]


def _upper_half_equal(draw: Draw, bins: int) -> tuple[Tensor, Tensor]:
    """Bold different confidences, then equal modest ones: counted from below the two share a bin, counted from above they do not."""
    confidence = torch.cat([0.5 + 0.01 * draw.uniform(0, 1, bins + 1), torch.full((bins,), 0.75)])
    correct = torch.cat([torch.zeros(bins + 1).bool(), torch.ones(bins).bool()])
    return confidence, correct


Combine = Callable[[Bins], float]
UNWEIGHTED: Combine = lambda b: sum(abs(hit - c) for _, c, hit in b) / len(b)  # noqa: E731
SIGNED: Combine = lambda b: sum(n * (c - hit) for n, c, hit in b) / sum(n for n, _, _ in b)  # noqa: E731


def _with(places: Callable[[Tensor, int], list[int]], combine: Combine = _weighted) -> Callable[..., float]:
    return lambda confidence, correct, bins=15: combine(_gathered(places(confidence, bins), confidence, correct))


def _left_closed(confidence: Tensor, bins: int) -> list[int]:
    return [min(bins, math.floor(c * bins) + 1) for c in confidence.tolist()]


def _between_extremes(confidence: Tensor, bins: int) -> list[int]:
    low, high = confidence.min().item(), confidence.max().item()
    return [max(1, math.ceil((c - low) / ((high - low) or 1.0) * bins)) for c in confidence.tolist()]


def _dropping(dropped: float) -> Callable[..., float]:
    """Examples of exactly this confidence are in no bin, but counted in n."""

    def ece(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
        kept = confidence != dropped
        share = kept.double().mean().item()
        return share * right_ece(confidence[kept], correct[kept], bins) if share else 0.0

    return ece


def _centers(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    places = _of_width(confidence, bins)
    centers = torch.tensor([(place - 0.5) / bins for place in places], dtype=torch.float64)
    return _weighted(_gathered(places, centers, correct))


def _nan_when_empty(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    full = len(set(_of_width(confidence, bins))) == bins
    return right_ece(confidence, correct, bins) if full else math.nan


ECE_MISTAKES = (
    Mistake(
        "unweighted mean",
        "You average the gaps of the bins as if all held the same number of examples; weigh each by n_b / n.",
        _with(_of_width, UNWEIGHTED),
    ),
    Mistake(
        "divided by the bins",
        "You divide the sum of the gaps by the number of bins, empty ones too; weigh each gap by n_b / n instead.",
        lambda confidence, correct, bins=15: (
            sum(abs(hit - c) for _, c, hit in _gathered(_of_width(confidence, bins), confidence, correct)) / bins
        ),
    ),
    Mistake(
        "left-closed bins",
        "Your bins are closed on the left; here a confidence on an edge b/bins belongs to the bin below it (<= b/bins).",
        _with(_left_closed),
    ),
    Mistake(
        "signed",
        "Your gaps keep their sign, so too bold and too modest bins cancel; take |gap| in each.",
        _with(_of_width, SIGNED),
    ),
    Mistake(
        "absolute value too late",
        "You take the absolute value of the sum; too bold and too modest bins cancel, so take |gap| in each bin first.",
        _with(_of_width, lambda b: abs(SIGNED(b))),
    ),
    Mistake(
        "bins ignored",
        "You always use 15 bins; `bins` says how many there are.",
        lambda confidence, correct, bins=15: right_ece(confidence, correct),
    ),
    Mistake(
        "largest gap",
        "That is the largest gap of any bin (the maximum calibration error); average the gaps with the weights n_b / n.",
        _with(_of_width, lambda b: max(abs(hit - c) for _, c, hit in b)),
    ),
    Mistake(
        "squared gaps",
        "You square the gaps and take the root; ECE averages their absolute values.",
        _with(_of_width, lambda b: math.sqrt(sum(n * (hit - c) ** 2 for n, c, hit in b) / sum(n for n, _, _ in b))),
    ),
    Mistake("zero left out", "A confidence of exactly 0 falls into none of your bins; it joins the first.", _dropping(0.0)),
    Mistake("one left out", "A confidence of exactly 1 falls into none of your bins; it belongs to the last.", _dropping(1.0)),
    Mistake(
        "centre of the bin",
        "You compare hit rates with the middle of the bin; compare with the mean confidence of the examples in it.",
        _centers,
    ),
    Mistake(
        "gap of each example",
        "You average |confidence - hit| over single examples; one example is right or wrong, only a bin has a hit rate.",
        lambda confidence, correct, bins=15: (confidence.double() - correct.double()).abs().mean().item(),
    ),
    Mistake("equal mass", "Your bins hold equally many examples; here all have the same width, 1/bins.", right_adaptive),
    Mistake(
        "bins between the extremes",
        "Your bins divide the range from the smallest to the largest confidence; they divide 0 to 1 (torch.histc: min=0, max=1).",
        _with(_between_extremes),
    ),
    Mistake(
        "empty bins",
        "An empty bin makes your result NaN (the mean of nothing); leave empty bins out.",
        _nan_when_empty,
    ),
    Mistake(
        "percent",
        "You return percent; a fraction between 0 and 1 is wanted.",
        lambda confidence, correct, bins=15: 100 * right_ece(confidence, correct, bins),
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda confidence, correct, bins=15: torch.tensor(right_ece(confidence, correct, bins)),
    ),
)


def _split_evenly(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    order = confidence.argsort(stable=True)
    sizes = [len(part) for part in torch.arange(len(order)).tensor_split(bins)]
    places = [place for place, size in enumerate(sizes) for _ in range(size)]
    return _weighted(_gathered(places, confidence[order], correct[order]))


def _by_position(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """As wanted, but ranks in sorted order, so that equal confidences are told apart."""
    rank = confidence.argsort(stable=True).argsort()
    return _weighted(_gathered((rank * bins // len(rank)).tolist(), confidence, correct))


def _ties_upward(confidence: Tensor, bins: int) -> list[int]:
    values = confidence.tolist()
    return [(sum(other <= c for other in values) - 1) * bins // len(values) for c in values]


def _by_quantiles(confidence: Tensor, bins: int) -> list[int]:
    inner = torch.quantile(confidence.double(), torch.arange(1, bins, dtype=torch.float64) / bins)
    return torch.bucketize(confidence.double().contiguous(), inner).tolist()


def _remainder_dropped(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    size = max(1, len(confidence) // bins)
    order = confidence.argsort(stable=True)[: size * bins]
    return _weighted(_gathered((torch.arange(len(order)) // size).tolist(), confidence[order], correct[order]))


def _hits_not_moved(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    return right_adaptive(confidence.sort().values, correct, bins)


ADAPTIVE_MISTAKES = (
    Mistake("equal width", "Your bins have equal width; here each should hold about n / bins examples.", right_ece),
    Mistake(
        "ties split",
        "You cut the sorted examples by position, so equal confidences land in different bins; count strictly smaller ones.",
        _by_position,
    ),
    Mistake(
        "cut into equal parts",
        "You cut the sorted list into parts (tensor_split), which parts equal confidences; use floor(r * bins / n) for each example.",
        _split_evenly,
    ),
    Mistake(
        "ties go up",
        "You count smaller or equal confidences, so equal ones go into the bin of the last; r counts strictly smaller ones.",
        _with(_ties_upward),
    ),
    Mistake(
        "interpolated quantiles",
        "You cut at interpolated quantiles, which lie between examples; floor(r * bins / n) needs no edges.",
        _with(_by_quantiles),
    ),
    Mistake(
        "remainder dropped",
        "Examples are left over when n is no multiple of bins, and you drop them; each example has a bin.",
        _remainder_dropped,
    ),
    Mistake(
        "hits not moved",
        "You sorted the confidences but not `correct` with them; use the same order for both.",
        _hits_not_moved,
    ),
    Mistake(
        "unweighted mean",
        "You average the gaps of the bins alike; ties make bins unequal, so weigh each by n_b / n.",
        _with(_of_mass, UNWEIGHTED),
    ),
    Mistake(
        "signed",
        "Your gaps keep their sign, so too bold and too modest bins cancel; take |gap| in each bin.",
        _with(_of_mass, SIGNED),
    ),
    Mistake(
        "absolute value too late",
        "You take the absolute value of the whole sum; take it in each bin, before you add.",
        _with(_of_mass, lambda b: abs(SIGNED(b))),
    ),
    Mistake(
        "bins ignored",
        "You always use 15 bins; `bins` says how many there are.",
        lambda confidence, correct, bins=15: right_adaptive(confidence, correct),
    ),
    Mistake(
        "largest gap",
        "That is the largest gap of any bin; average the gaps with the weights n_b / n.",
        _with(_of_mass, lambda b: max(abs(hit - c) for _, c, hit in b)),
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda confidence, correct, bins=15: torch.tensor(right_adaptive(confidence, correct, bins)),
    ),
)
