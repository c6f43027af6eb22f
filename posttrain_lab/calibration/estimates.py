"""How much of a calibration error is real? Estimates without the bias of bins, and their intervals.

The ECE of a perfectly calibrated model is not 0 in a finite sample: every bin's hit rate deviates by chance, and the absolute
value makes all deviations positive. `ece_by_chance` estimates this bias; `debiased_error` and `kernel_error` do not have it.

Source: Kumar, Liang, Ma (2019); Widmann, Lindsten, Zachariah (2019); Bröcker and Smith (2007); Efron (1979).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from posttrain_lab.arguments import check_count

from .arguments import check_positive, check_share
from .errors import bin_gaps, check_hits, equal_mass, expected_calibration_error

BLOCK = 2048  # rows of pairs that kernel_error has in memory at once


@dataclass(frozen=True)
class Interval:
    """A number and the range that `level` of the resamples fell into."""

    value: float
    low: float
    high: float
    level: float


def bootstrap_interval(
    statistic: Callable[..., float], *data: Shaped[Tensor, "n ..."], resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """How much does a statistic vary from sample to sample? The percentile bootstrap, centred.

    statistic(*data) -> float; all tensors [n, ...] are resampled together, rows with replacement, `resamples` times. The ends
    are the quantiles (1 - level) / 2 and (1 + level) / 2, shifted so that the mean of the resamples is the value of the whole sample: a
    resample repeats examples, and a biased statistic such as the ECE is larger for it. A mean is not shifted.
    Errors of the statistic are not caught: one that needs both classes may raise for a resample of a few examples.
    Raises ValueError for no data, different lengths, resamples < 2, level outside (0, 1). Source: Efron (1979).

    >>> found = bootstrap_interval(lambda x: x.mean().item(), torch.arange(100.0))
    >>> found.value, found.low < 49.5 < found.high
    (49.5, True)
    """
    sizes = {len(tensor) for tensor in data}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"bootstrap_interval wants tensors of one length n >= 1, got lengths {[len(t) for t in data]}.")
    check_count("bootstrap_interval", "resamples", resamples, 2)
    check_share("bootstrap_interval", "level", level)
    generator, n = torch.Generator().manual_seed(seed), sizes.pop()
    drawn = []
    for _ in range(resamples):
        index = torch.randint(n, (n,), generator=generator)
        drawn.append(statistic(*(tensor[index] for tensor in data)))
    value = float(statistic(*data))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) + (value - np.mean(drawn))
    return Interval(value, float(low), float(high), level)


def ece_by_chance(
    confidence: Float[Tensor, " n"],
    bins: int = 15,
    resamples: int = 200,
    seed: int = 0,
    error: Callable[..., float] = expected_calibration_error,
) -> Interval:
    """Which ECE would these confidences have if they were perfectly calibrated? The mean, and the interval of 95 % of the draws.

    Hits are drawn with the confidences as their probabilities, `resamples` times. An ECE inside the interval is no evidence of
    miscalibration. `error` is the estimate to use. Raises as `expected_calibration_error`. Source: Bröcker and Smith (2007).

    >>> found = ece_by_chance(torch.full((100,), 0.5))  # 100 flips of a coin: the share of heads misses 0.5 by 0.04
    >>> 0.03 < found.value < 0.05
    True
    """
    check_hits("ece_by_chance", confidence, torch.zeros_like(confidence), bins)
    check_count("ece_by_chance", "resamples", resamples, 2)
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(resamples):
        hits = torch.rand(len(confidence), generator=generator, dtype=torch.float64) < confidence.double()
        drawn.append(error(confidence, hits, bins))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(np.mean(drawn)), float(low), float(high), 0.95)


def debiased_error(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], bins: int = 15) -> float:
    """How large is the SQUARED calibration error of the bins, without its bias? About 0 when calibrated; may be negative.

    sum_b n_b/n ((hit rate - mean confidence)^2 - hit rate (1 - hit rate) / (n_b - 1)), bins of equal mass. The last term is the
    variance of a hit rate; it is what chance adds on average. A bin of one example has no variance and is left out. The square
    root, where it exists, is in units of probability. Raises as `adaptive_ece`. Source: Kumar et al. (2019).

    >>> debiased_error(torch.tensor([0.5, 0.5]), torch.tensor([0, 1]), bins=1)
    -0.25
    """
    check_hits("debiased_error", confidence, correct, bins)
    if len(confidence) < 2 * bins:
        raise ValueError(
            f"debiased_error wants two examples per bin or more, got n={len(confidence)}, bins={bins}; use fewer bins."
        )
    bin_of = equal_mass(confidence, bins)
    count = torch.bincount(bin_of, minlength=bins).double()
    used = count > 1
    gap = bin_gaps(bin_of, confidence, correct, bins)[used] / count[used]
    hits = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, correct.double())[used] / count[used]
    each = gap.square() - hits * (1 - hits) / (count[used] - 1)
    return ((count[used] * each).sum() / len(confidence)).item()


def kernel_error(confidence: Float[Tensor, " n"], correct: Shaped[Tensor, " n"], width: float = 0.1) -> float:
    """How large is the squared calibration error without any bins? Its mean over samples is exactly 0 when calibrated.

    (1 / (n (n - 1))) sum_{i != j} (y_i - p_i) (y_j - p_j) exp(-|p_i - p_j| / width)
    Two examples with errors of the same sign, at nearby confidences, increase the estimate. May be negative. `width` in
    units of probability, > 0. Takes n^2 steps. Raises as `expected_calibration_error`, and ValueError for n < 2 or width <= 0.
    Source: Widmann et al. (2019), the unbiased quadratic estimator SKCE with a Laplacian kernel.

    >>> kernel_error(torch.tensor([0.5, 0.5]), torch.tensor([1, 1]))
    0.25
    """
    check_hits("kernel_error", confidence, correct)
    check_positive("kernel_error", width=width)
    n = len(confidence)
    if n < 2:
        raise ValueError(f"kernel_error wants two examples or more, got n={n}; it compares pairs.")
    p, gap = confidence.double(), correct.double() - confidence.double()
    total = 0.0
    for rows in torch.arange(n).split(BLOCK):
        kernel = torch.exp(-(p[rows, None] - p[None, :]).abs() / width)
        total += (gap[rows] @ (kernel @ gap)).item()
    return (total - gap.square().sum().item()) / (n * (n - 1))
