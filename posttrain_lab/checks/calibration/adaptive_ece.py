"""Cases and known mistakes of `adaptive_ece`: the calibration error in bins with about equally many examples.

Conventions that the notebook states in the same words:
- the sum over bins of (n_b / n) |hit rate - mean confidence|, a plain float; empty bins add nothing; `correct` is bool;
- an example with r strictly smaller confidences is in bin floor(r * bins / n), so equal confidences are in the same bin; bins <= n.
"""

from bisect import bisect_left, bisect_right

import torch
from torch import Tensor

from posttrain_lab.checks.calibration.expected_calibration_error import (
    SIGNED,
    UNWEIGHTED,
    claims,
    gathered,
    of_4096,
    right_ece,
    scored,
    weighted,
    with_bins,
)
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


def _of_mass(confidence: Tensor, bins: int) -> list[int]:
    rising = sorted(confidence.tolist())
    return [bisect_left(rising, c) * bins // len(rising) for c in confidence.tolist()]


def right_adaptive(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    return weighted(gathered(_of_mass(confidence, bins), confidence, correct))


def adaptive_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "adaptive_ece")
    bins = draw.whole(5, 9)
    n = bins * draw.whole(5, 9) + draw.whole(1, bins - 1)
    confidence, correct = scored(draw, n, 15, 0.2)
    few = draw.whole(4, 6) / 8
    tied = torch.where(draw.uniform(0, 1, n) < 0.5, few, confidence)
    return [
        Case("twice as many examples as bins", (*_in_turn(draw, claims(draw, 2 * bins, 15, 0.2), bins), bins)),
        Case("bins that cannot all have the same size", (confidence, correct, bins)),
        Case("15 bins", scored(draw, 47, 15, 0.3)),
        Case("bins by name, a view that is not contiguous", (strided(confidence), correct), {"bins": 4}),
        Case("half of the confidences equal", (tied, correct, bins)),
        Case("three different confidences", (draw.codes(1, 3, n).float() / 4, correct, bins)),
        Case("the larger half equal, and underconfident", (*_upper_half_equal(draw, bins), 2)),
        Case("equal confidences whose first half is right", (torch.full((2 * bins,), few), torch.arange(2 * bins) < bins, bins)),
        Case("most confidences close to 1", (1 - 0.02 * draw.uniform(0, 1, n), draw.uniform(0, 1, n) < 0.9, bins)),
        Case("one bin", (*scored(draw, n, 1), 1)),
        Case("one example", (claims(draw, 1, 15), torch.tensor([True]), 1)),
        Case("float64", (confidence.double(), correct, 3)),
    ]


def adaptive_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "adaptive at work")
    n = _inexact_ranks(draw)
    close = 0.5 + torch.randperm(4096, generator=draw.generator)[:600].double() / 2**33
    return [
        Case("2,000 answers, most of them sure", _in_turn(draw, of_4096(draw, 2000), 15)),
        Case("many small bins", (*_in_turn(draw, of_4096(draw, 1500), 60), 60)),
        Case("as many bins as answers", (*_in_turn(draw, of_4096(draw, n), n), n)),
        Case("float64, confidences that float32 does not separate", (*_in_turn(draw, close, 12), 12)),
    ]


def _inexact_ranks(draw: Draw) -> int:
    """A number n for which floor((r / n) * n) is not r for all r, in float32 and in float64: the division must come last."""
    ranks = torch.arange(200)
    while True:
        n = draw.whole(90, 190)
        r = ranks[:n]
        if all(((r.to(kind) / n * n).floor() != r).any() for kind in (torch.float32, torch.float64)):
            return n


def _in_turn(draw: Draw, confidence: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """All examples of a bin are right, in the next bin all are wrong, and so on: other bin edges mix them."""
    n = len(confidence)
    order = torch.randperm(n, generator=draw.generator)
    return confidence.sort().values[order], (torch.arange(n) * bins // n % 2 == 0)[order]


def _upper_half_equal(draw: Draw, m: int) -> tuple[Tensor, Tensor]:
    """Different overconfident answers, then equal underconfident ones: in one bin when counted from below, in two from above."""
    confidence = torch.cat([0.5 + 0.01 * draw.uniform(0, 1, m), torch.full((m + 1,), 0.75)])
    correct = torch.cat([torch.zeros(m).bool(), torch.ones(m + 1).bool()])
    return confidence, correct


def _split_evenly(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    order = confidence.argsort(stable=True)
    sizes = [len(part) for part in torch.arange(len(order)).tensor_split(bins)]
    places = [place for place, size in enumerate(sizes) for _ in range(size)]
    return weighted(gathered(places, confidence[order], correct[order]))


def _by_position(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """The right bins, but for ranks in sorted order, so that equal confidences have different ranks."""
    rank = confidence.argsort(stable=True).argsort()
    return weighted(gathered((rank * bins // len(rank)).tolist(), confidence, correct))


def _whole_sizes(confidence: Tensor, bins: int) -> list[int]:
    rising = sorted(confidence.tolist())
    return [min(bins - 1, bisect_left(rising, c) // max(1, len(rising) // bins)) for c in confidence.tolist()]


def _ties_upward(confidence: Tensor, bins: int) -> list[int]:
    rising = sorted(confidence.tolist())
    return [(bisect_right(rising, c) - 1) * bins // len(rising) for c in confidence.tolist()]


def _by_quantiles(confidence: Tensor, bins: int) -> list[int]:
    inner = torch.quantile(confidence.double(), torch.arange(1, bins, dtype=torch.float64) / bins)
    return torch.bucketize(confidence.double().contiguous(), inner).tolist()


def _remainder_dropped(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    size = max(1, len(confidence) // bins)
    order = confidence.argsort(stable=True)[: size * bins]
    return weighted(gathered((torch.arange(len(order)) // size).tolist(), confidence[order], correct[order]))


def _correct_not_sorted(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    return right_adaptive(confidence.sort().values, correct, bins)


ADAPTIVE_MISTAKES = (
    Mistake("equal width", "Your bins have equal width; here each should have about n / bins examples.", right_ece),
    Mistake(
        "ties split",
        "You cut the sorted examples by position, so equal confidences are in different bins; count strictly smaller ones.",
        _by_position,
    ),
    Mistake(
        "cut into equal parts",
        "You cut the sorted list into parts (tensor_split), which separates equal confidences; use floor(r * bins / n) for each example.",
        _split_evenly,
    ),
    Mistake(
        "ties counted",
        "You count smaller or equal confidences, so equal ones are in the bin of the last; count strictly smaller ones.",
        with_bins(_ties_upward),
    ),
    Mistake(
        "remainder in the last bin",
        "You fill bins of n // bins examples and put the remaining ones into the last; floor(r * bins / n) spreads the remainder.",
        with_bins(_whole_sizes),
    ),
    Mistake(
        "interpolated quantiles",
        "You cut at interpolated quantiles, which lie between examples; floor(r * bins / n) needs no edges.",
        with_bins(_by_quantiles),
    ),
    Mistake(
        "remainder dropped",
        "You drop the remaining examples when n is not a multiple of bins; put each example into a bin.",
        _remainder_dropped,
    ),
    Mistake(
        "correct not sorted",
        "You sorted the confidences but not `correct`; use the same order for both.",
        _correct_not_sorted,
    ),
    Mistake(
        "unweighted mean",
        "You average the gaps without weights; ties make bins unequal, so multiply each gap by n_b / n.",
        with_bins(_of_mass, UNWEIGHTED),
    ),
    Mistake(
        "signed",
        "Your gaps keep their sign, so overconfident and underconfident bins cancel; take |gap| in each bin.",
        with_bins(_of_mass, SIGNED),
    ),
    Mistake(
        "absolute value too late",
        "You take the absolute value of the whole sum; take it in each bin, before you add.",
        with_bins(_of_mass, lambda b: abs(SIGNED(b))),
    ),
    Mistake(
        "bins ignored",
        "You always use 15 bins; `bins` says how many there are.",
        lambda confidence, correct, bins=15: right_adaptive(confidence, correct),
    ),
    Mistake(
        "largest gap",
        "You return the largest gap of any bin; average the gaps with the weights n_b / n.",
        with_bins(_of_mass, lambda b: max(abs(hit - c) for _, c, hit in b)),
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda confidence, correct, bins=15: torch.tensor(right_adaptive(confidence, correct, bins)),
    ),
)


adaptive_ece = Exercise(
    name="adaptive_ece",
    unit="04_calibration",
    points=2,
    difficulty=3,
    minutes=10,
    oracle=right_adaptive,
    cases=adaptive_cases,
    workload=adaptive_workload,
    mistakes=ADAPTIVE_MISTAKES,
    library="calibration:adaptive_ece",
)
