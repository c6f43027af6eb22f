"""Cases and known mistakes of `expected_calibration_error`: how far is the confidence from the accuracy?

Conventions that the notebook states in the same words:
- the sum over bins of (n_b / n) |hit rate - mean confidence|, a plain float; empty bins add nothing; `correct` is bool;
- bin b of 1..bins has (b-1)/bins < confidence <= b/bins, and a confidence of 0 is in the first bin.

An edge b/bins that is not a binary fraction is rounded differently by torch.linspace, by a division and by numpy. So confidences are equal
to edges only where `bins` is a power of two; in other cases they are at least 4e-6 away from them, seventy steps of float32 below 1.

Where there are hundreds of confidences, they are whole multiples of a power of two, so that float32 sums of them are exact in any order.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided

Bins = list[tuple[int, float, float]]  # for each bin that is not empty: number of examples, mean confidence, hit rate


def gathered(places: Iterable[int], confidence: Tensor, correct: Tensor) -> Bins:
    """The bins that are not empty, in plain Python."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for place, c, hit in zip(places, confidence.tolist(), correct.tolist(), strict=True):
        bins.setdefault(place, []).append((c, hit))
    return [(len(b), math.fsum(c for c, _ in b) / len(b), sum(hit for _, hit in b) / len(b)) for _, b in sorted(bins.items())]


def weighted(bins: Bins) -> float:
    return sum(n * abs(hit - c) for n, c, hit in bins) / sum(n for n, _, _ in bins)


def _of_width(confidence: Tensor, bins: int) -> list[int]:
    return [max(1, math.ceil(c * bins)) for c in confidence.tolist()]


def right_ece(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    return weighted(gathered(_of_width(confidence, bins), confidence, correct))


def claims(draw: Draw, n: int, bins: int, low: float = 0.0) -> Tensor:
    """Confidences [n] above `low`, most of them near 1, that are not near the edges of the bins."""
    x = (low + (1 - low) * (1 - draw.uniform(0, 1, n) ** 2)) * bins
    return (x.floor().clamp(max=bins - 1) + 0.02 + 0.96 * (x - x.floor())) / bins


def _hits(draw: Draw, confidence: Tensor) -> Tensor:
    """bool [n]: small confidences are too small, large ones too large, so that signed gaps partly cancel."""
    return draw.uniform(0, 1, len(confidence)) < 0.35 + 0.4 * confidence


def scored(draw: Draw, n: int, bins: int, low: float = 0.0) -> tuple[Tensor, Tensor]:
    confidence = claims(draw, n, bins, low)
    return confidence, _hits(draw, confidence)


def _on_edges(draw: Draw, bins: int) -> tuple[Tensor, Tensor]:
    """All edges and the middles between them: at the edges wrong below one half and right above, between them the other way round.

    Those at 0 are right and the rest of the first bin is wrong, so the result shows whether 0 is in the first bin.
    """
    edges = torch.arange(bins + 1) / bins
    middles = (torch.arange(bins) + 0.5) / bins
    right = (edges >= 0.5) | (edges == 0)
    confidence = torch.cat([edges, edges, middles, torch.full((draw.whole(1, 4),), 1.0)])
    order = torch.tensor(draw.shuffled(range(len(confidence))))
    correct = torch.cat(
        [right, right, (middles < 0.5) & (middles > 1 / bins), torch.zeros(len(confidence) - 3 * bins - 2).bool()]
    )
    return confidence[order], correct[order]


def ece_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "expected")
    n, many, bins = 2 * draw.whole(20, 45) + 1, draw.whole(150, 300), draw.whole(6, 12)
    confidence, correct = scored(draw, many, bins)
    return [
        Case("two bins of different size", _two_bins(draw)),
        Case("the usual 15 bins", scored(draw, n, 15, 0.3)),
        Case(f"{bins} bins", (confidence, correct, bins)),
        Case("bins by name, a view that is not contiguous", (strided(confidence), correct), {"bins": bins}),
        Case("confidences on the edges of the bins, 0 and 1 among them", (*_on_edges(draw, 8), 8)),
        Case("confidences of exactly 1 alone", (torch.ones(n), draw.uniform(0, 1, n) < 0.6, bins)),
        Case("confidences of exactly 0 alone", (torch.zeros(n), draw.uniform(0, 1, n) < 0.6, bins)),
        Case("more bins than examples, so most are empty", (*scored(draw, 5, 40), 40)),
        Case("one bin", (*scored(draw, n, 1), 1)),
        Case("one example, wrong", (claims(draw, 1, 15, 0.5), torch.tensor([False]))),
        Case("float64", (confidence.double(), correct, bins)),
        Case("all confidences close together", (0.51 + 0.02 * draw.uniform(0, 1, n), draw.uniform(0, 1, n) < 0.8, 4)),
    ]


def ece_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "ece at work")
    many, finer = of_4096(draw, 2000), of_4096(draw, 1500)
    return [
        Case("2,000 answers, most of them sure", (many, _hits(draw, many))),
        Case("many small bins", (finer, _hits(draw, finer), 120)),
        Case("confidences a little above and below the edges, and close to 0", _beside_edges(draw, 15)),
    ]


def of_4096(draw: Draw, n: int) -> Tensor:
    """Different confidences [n], most of them near 1, that are multiples of 1/4096 but not of 1/8 (edges of 120 bins)."""
    places = torch.arange(1, 4096)
    places = places[places % 512 != 0]
    order = torch.multinomial(places.double() ** 2, n, generator=draw.generator)
    return places[order] / 4096


def _beside_edges(draw: Draw, bins: int) -> tuple[Tensor, Tensor]:
    """The multiples of 1/16384 next to each edge, right above it and wrong below it, each a few times; and right answers close to 0."""
    edges = torch.arange(1, bins) * 16384 / bins
    near = torch.cat([edges.ceil(), edges.floor(), draw.codes(1, 15, 20).float()])
    right = torch.arange(len(near)) // (bins - 1) != 1
    times = draw.codes(2, 9, len(near)).long()
    order = torch.randperm(int(times.sum()), generator=draw.generator)
    return near.repeat_interleave(times)[order] / 16384, right.repeat_interleave(times)[order]


def _two_bins(draw: Draw) -> tuple[Tensor, Tensor, int]:
    """Overconfident in a large bin, underconfident in a small one."""
    large, small = draw.whole(9, 14), draw.whole(2, 4)
    confidence = torch.cat([draw.uniform(0.8, 0.95, large), draw.uniform(0.1, 0.4, small)])
    return confidence, torch.cat([torch.arange(large) < 4, torch.ones(small).bool()]), 2


Combine = Callable[[Bins], float]


UNWEIGHTED: Combine = lambda b: sum(abs(hit - c) for _, c, hit in b) / len(b)  # noqa: E731


SIGNED: Combine = lambda b: sum(n * (c - hit) for n, c, hit in b) / sum(n for n, _, _ in b)  # noqa: E731


def with_bins(places: Callable[[Tensor, int], list[int]], combine: Combine = weighted) -> Callable[..., float]:
    return lambda confidence, correct, bins=15: combine(gathered(places(confidence, bins), confidence, correct))


def _equal_mass(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    rising = sorted(confidence.tolist())
    places = [bisect_left(rising, c) * bins // len(rising) for c in confidence.tolist()]
    return weighted(gathered(places, confidence, correct))


def _left_closed(confidence: Tensor, bins: int) -> list[int]:
    return [min(bins, math.floor(c * bins) + 1) for c in confidence.tolist()]


def _one_too_few(confidence: Tensor, bins: int) -> list[int]:
    """Between `bins` edges there are bins - 1 bins."""
    return _of_width(confidence, max(1, bins - 1))


def _zero_alone(confidence: Tensor, bins: int) -> list[int]:
    return [math.ceil(c * bins) for c in confidence.tolist()]


def _between_extremes(confidence: Tensor, bins: int) -> list[int]:
    low, high = confidence.min().item(), confidence.max().item()
    return [max(1, math.ceil((c - low) / ((high - low) or 1.0) * bins)) for c in confidence.tolist()]


def _dropping(dropped: float) -> Callable[..., float]:
    """Examples with exactly this confidence are in no bin, but are counted in n."""

    def ece(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
        kept = confidence != dropped
        share = kept.double().mean().item()
        return share * right_ece(confidence[kept], correct[kept], bins) if share else 0.0

    return ece


def _centers(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    places = _of_width(confidence, bins)
    centers = torch.tensor([(place - 0.5) / bins for place in places], dtype=torch.float64)
    return weighted(gathered(places, centers, correct))


def _nan_when_empty(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    full = len(set(_of_width(confidence, bins))) == bins
    return right_ece(confidence, correct, bins) if full else math.nan


ECE_MISTAKES = (
    Mistake(
        "unweighted mean",
        "You average the gaps of the bins as if all had the same number of examples; multiply each by n_b / n.",
        with_bins(_of_width, UNWEIGHTED),
    ),
    Mistake(
        "divided by the bins",
        "You divide the sum of the gaps by the number of bins; multiply each gap by n_b / n instead.",
        lambda confidence, correct, bins=15: (
            sum(abs(hit - c) for _, c, hit in gathered(_of_width(confidence, bins), confidence, correct)) / bins
        ),
    ),
    Mistake(
        "left-closed bins",
        "Your bins are closed on the left; here a confidence on an edge b/bins belongs to the bin below it (<= b/bins).",
        with_bins(_left_closed),
    ),
    Mistake(
        "signed",
        "Your gaps keep their sign, so overconfident and underconfident bins cancel; take |gap| in each.",
        with_bins(_of_width, SIGNED),
    ),
    Mistake(
        "absolute value too late",
        "You take the absolute value of the sum, in which positive and negative gaps cancel; take |gap| in each bin first.",
        with_bins(_of_width, lambda b: abs(SIGNED(b))),
    ),
    Mistake(
        "bins ignored",
        "You always use 15 bins; `bins` says how many there are.",
        lambda confidence, correct, bins=15: right_ece(confidence, correct),
    ),
    Mistake(
        "largest gap",
        "You return the largest gap of any bin (the maximum calibration error); average the gaps with the weights n_b / n.",
        with_bins(_of_width, lambda b: max(abs(hit - c) for _, c, hit in b)),
    ),
    Mistake(
        "squared gaps",
        "You square the gaps and take the root; average their absolute values.",
        with_bins(_of_width, lambda b: math.sqrt(sum(n * (hit - c) ** 2 for n, c, hit in b) / sum(n for n, _, _ in b))),
    ),
    Mistake("zero left out", "A confidence of exactly 0 is in none of your bins; put it into the first.", _dropping(0.0)),
    Mistake("zero alone", "A confidence of exactly 0 has a bin of its own; put it into the first bin.", with_bins(_zero_alone)),
    Mistake(
        "one bin too few",
        "You have one bin too few; `bins` bins have bins + 1 edges (torch.linspace(0, 1, bins + 1)).",
        with_bins(_one_too_few),
    ),
    Mistake("one left out", "A confidence of exactly 1 is in none of your bins; put it into the last.", _dropping(1.0)),
    Mistake(
        "centre of the bin",
        "You compare hit rates with the middle of the bin; compare with the mean confidence of the examples in it.",
        _centers,
    ),
    Mistake(
        "gap of each example",
        "You average |confidence - hit| over single examples; average within each bin first, as only a bin has a hit rate.",
        lambda confidence, correct, bins=15: (confidence.double() - correct.double()).abs().mean().item(),
    ),
    Mistake("equal mass", "Your bins have equally many examples; here all have the same width, 1/bins.", _equal_mass),
    Mistake(
        "bins between the extremes",
        "Your bins divide the range from the smallest to the largest confidence; divide 0 to 1 (torch.histc: min=0, max=1).",
        with_bins(_between_extremes),
    ),
    Mistake(
        "empty bins",
        "An empty bin makes your result NaN (the mean of nothing); leave empty bins out.",
        _nan_when_empty,
    ),
    Mistake(
        "percent",
        "You return percent; return a fraction between 0 and 1.",
        lambda confidence, correct, bins=15: 100 * right_ece(confidence, correct, bins),
    ),
    Mistake(
        "tensor",
        "You return a tensor; .item() makes a plain float of it.",
        lambda confidence, correct, bins=15: torch.tensor(right_ece(confidence, correct, bins)),
    ),
)


expected_calibration_error = Exercise(
    name="expected_calibration_error",
    unit="04_calibration",
    points=3,
    difficulty=2,
    minutes=14,
    oracle=right_ece,
    cases=ece_cases,
    workload=ece_workload,
    mistakes=ECE_MISTAKES,
    library="calibration:expected_calibration_error",
)
