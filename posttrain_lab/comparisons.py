"""Is one model really better than another? Comparisons on the same examples, and what they can show at all.

Two models that are tested on the same images are wrong on mostly the same ones. Their separate intervals do not know that, and overlap
although the difference is clear; only the examples on which the two differ say who is better. So: `mcnemar` for right and wrong,
`paired_difference` for any number per example, `detectable_difference` before you start, `welch` for groups of separately trained models.

Source: McNemar (1947); Efron (1979); Connor (1987); Welch (1947); Holm (1979).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from posttrain_lab.arguments import check_count
from posttrain_lab.tails import incomplete_beta, t_tails

BLOCK = 4_000_000  # numbers that are drawn at once


@dataclass(frozen=True)
class PairedDifference:
    """The mean of first minus second over the examples, and the range that `level` of the resamples fell into."""

    value: float
    low: float
    high: float
    level: float


def _check_hits(name: str, first: Tensor, second: Tensor) -> None:
    for argument, value in (("first", first), ("second", second)):
        if not isinstance(value, Tensor) or value.dtype != torch.bool:
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name} wants {argument} to be a bool Tensor, got {got}; do predicted == labels.")
    _check_pairs(name, first, second)


def _check_pairs(name: str, first: Tensor, second: Tensor) -> None:
    if first.ndim != 1 or first.shape != second.shape or len(first) == 0:
        raise ValueError(
            f"{name} wants first and second [n] with n >= 1, one value for each example, got shapes {list(first.shape)} and "
            f"{list(second.shape)}; test both models on the same examples in the same order."
        )


def _check_share(name: str, **values: float) -> None:
    for argument, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise ValueError(f"{name} wants 0 < {argument} < 1, got {value!r}; 0.05 means one in twenty.")


def discordant(first: Bool[Tensor, " n"], second: Bool[Tensor, " n"]) -> tuple[int, int]:
    """On how many examples is only the first right, and on how many only the second?

    first, second [n]: is each model right on example i? Raises TypeError for other dtypes, ValueError for other lengths or n = 0.

    >>> discordant(torch.tensor([True, True, False, True]), torch.tensor([True, False, True, False]))
    (2, 1)
    """
    _check_hits("discordant", first, second)
    return int((first & ~second).sum()), int((second & ~first).sum())


def mcnemar(first: Bool[Tensor, " n"], second: Bool[Tensor, " n"]) -> float:
    """If neither model were better, how probable would a difference of at least this size be? The exact two-sided p-value.

    p = min(1, 2 P(X <= min(b, c))), X binomial with b + c tries of probability 1/2; b: only the first is right, c: only the second.
    Where both are right or both are wrong nothing is learnt; without any discordant example p is 1. Raises as `discordant`.
    Source: McNemar (1947), in the exact form.

    >>> first, second = torch.zeros(24, dtype=torch.bool), torch.zeros(24, dtype=torch.bool)
    >>> first[:18], second[18:] = True, True  # 18 against 6
    >>> round(mcnemar(first, second), 4)
    0.0227
    """
    b, c = discordant(first, second)
    low, n = min(b, c), b + c
    return 1.0 if 2 * low >= n else min(1.0, 2 * incomplete_beta(n - low, low + 1, 0.5))


def paired_difference(
    first: Shaped[Tensor, " n"], second: Shaped[Tensor, " n"], resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> PairedDifference:
    """By how much is the first better, and how uncertain is that? The paired percentile bootstrap.

    The mean of first - second; examples are resampled with replacement, both models' values together. first, second [n]: bool (right
    or wrong) or any number per example (a loss, a cost). Raises ValueError for other lengths, n = 0, NaN, resamples < 2, level outside (0, 1).
    Source: Efron (1979).

    >>> better = paired_difference(torch.tensor([1.0, 1.0, 0.0, 1.0] * 50), torch.tensor([1.0, 0.0, 0.0, 0.0] * 50))
    >>> better.value, 0.4 < better.low < 0.5 < better.high < 0.6
    (0.5, True)
    """
    _check_pairs("paired_difference", first, second)
    check_count("paired_difference", "resamples", resamples, 2)
    _check_share("paired_difference", level=level)
    values, counts = np.unique((first.double() - second.double()).numpy(), return_counts=True)
    if np.isnan(values).any():
        raise ValueError("paired_difference wants numbers, got NaN; look for the example that has none.")
    n, rng = len(first), np.random.default_rng(seed)
    size = max(1, BLOCK // len(values))
    parts = [min(size, resamples - done) for done in range(0, resamples, size)]
    # how often each different value is drawn is multinomial: for right and wrong three numbers a resample instead of n
    means = np.concatenate([rng.multinomial(n, counts / n, part) @ values / n for part in parts])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return PairedDifference(float(counts @ values / n), float(low), float(high), level)


def detectable_difference(n: int, discordant_share: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Which difference of accuracies would a paired test on n examples find, with this probability (power)?

    d with d sqrt(n) = z(1 - alpha/2) sqrt(s) + z(power) sqrt(s - d^2), s = discordant_share: the share of the examples on which exactly one
    of the two models is right. Infinite when even the largest possible difference, s, would not be found. An approximation by the normal
    distribution. Raises ValueError for a share outside (0, 1] or a level outside (0, 1). Source: Connor (1987).

    >>> [round(detectable_difference(n, discordant_share=0.05), 3) for n in (300, 2000, 10_000)]
    [0.036, 0.014, 0.006]
    """
    check_count("detectable_difference", "n", n)
    _check_share("detectable_difference", power=power, alpha=alpha)
    if not 0 < discordant_share <= 1:
        raise ValueError(f"detectable_difference wants 0 < discordant_share <= 1, got {discordant_share!r}; it is a share of n.")
    s, z, reach = discordant_share, NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    inner = n - z * z + reach * reach  # the positive root of the quadratic equation for d
    found = math.sqrt(s) * (z * math.sqrt(n) + reach * math.sqrt(max(inner, 0.0))) / (n + reach * reach)
    return found if found <= s else math.inf


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Do two groups of separately trained models differ in their mean? The two-sided p-value; variances may differ.

    t = (m1 - m2) / sqrt(v1/n1 + v2/n2), with Welch's degrees of freedom. Where both groups do not vary at all: 1 when their means are
    equal, else 0. Raises ValueError for fewer than two models in a group. Source: Welch (1947).

    >>> round(welch([0.8, 0.9, 0.85], [0.7, 0.72, 0.68]), 4)
    0.0229
    """
    if len(first) < 2 or len(second) < 2:
        raise ValueError(
            f"welch wants at least two models in each group, got {len(first)} and {len(second)}; one model says nothing about others."
        )
    a, b = variance(first) / len(first), variance(second) / len(second)
    gap = fmean(first) - fmean(second)
    if a + b == 0:
        return 1.0 if gap == 0 else 0.0
    freedom = (a + b) ** 2 / (a * a / (len(first) - 1) + b * b / (len(second) - 1))
    return t_tails(gap / math.sqrt(a + b), freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values when several questions are asked at once: with these, one false alarm among all has the stated probability.

    In rising order the k-th of m (from 0) is multiplied by m - k, never below the one before it, at most 1. Raises ValueError for
    values outside [0, 1]. Source: Holm (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"holm wants p-values in [0, 1], got {list(p_values)}.")
    found, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        found[index] = largest
    return found
