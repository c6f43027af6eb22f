"""`comparisons`: scipy, exact sums and a simulation-free power as oracles."""

import itertools
import math

import numpy as np
import pytest
import torch

from posttrain_lab.comparisons import detectable_difference, discordant, holm, mcnemar, paired_difference, welch

stats = pytest.importorskip("scipy.stats")


def pairs(only_first, only_second, both=3, neither=2):
    """Hits of two models with these counts."""
    first = [True] * only_first + [False] * only_second + [True] * both + [False] * neither
    second = [False] * only_first + [True] * only_second + [True] * both + [False] * neither
    return torch.tensor(first), torch.tensor(second)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (0, 5), (18, 6), (7, 7), (7, 8), (300, 200), (4000, 4300)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_examples(b, c):
    wanted = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(*pairs(b, c)) == pytest.approx(float(wanted), rel=1e-8)
    assert discordant(*pairs(b, c)) == (b, c)


def test_examples_on_which_both_agree_change_nothing():
    assert mcnemar(*pairs(9, 2)) == mcnemar(*pairs(9, 2, both=5000, neither=900))


def test_under_no_difference_small_p_values_are_rare():
    """P(p <= 0.05) is at most 0.05, summed over all outcomes of 15 discordant examples."""
    level = sum(math.comb(15, b) / 2**15 for b in range(16) if mcnemar(*pairs(b, 15 - b)) <= 0.05)
    assert 0.01 < level <= 0.05


def test_the_paired_interval_agrees_with_scipys_bootstrap():
    rng = np.random.default_rng(3)
    first, second = rng.random(400) < 0.8, rng.random(400) < 0.7
    found = paired_difference(torch.from_numpy(first), torch.from_numpy(second), resamples=4000)
    gaps = first.astype(float) - second.astype(float)
    theirs = stats.bootstrap((gaps,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    assert found.value == pytest.approx(gaps.mean())
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.006)


def test_the_paired_interval_of_real_numbers_is_near_the_normal_one():
    gaps = torch.randn(900, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found, error = paired_difference(gaps, torch.zeros(900)), gaps.std().item() / 30
    assert found.low == pytest.approx(gaps.mean().item() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(gaps.mean().item() + 1.96 * error, abs=0.15 * error)


def test_paired_differences_are_narrower_than_separate_intervals():
    first, second = pairs(18, 6, both=250, neither=26)
    paired = paired_difference(first, second)
    assert paired.low > 0  # the difference is clear ...
    alone = [paired_difference(one, torch.zeros(len(one))) for one in (first, second)]
    assert alone[0].low < alone[1].high  # ... while the intervals of the two accuracies overlap


@pytest.mark.parametrize(("n", "share"), [(400, 0.2), (1000, 0.1)])
def test_the_detectable_difference_has_the_power_that_it_promises(n, share):
    """The power of the exact test at that difference, summed over all outcomes: a little below, as the exact test is cautious."""
    d = detectable_difference(n, share)
    power = 0.0
    for m in range(n + 1):
        among = stats.binom.pmf(m, n, share)
        if among > 1e-9:
            b = np.arange(m + 1)
            p = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(b, m - b), m, 0.5))
            power += among * stats.binom.pmf(b, m, (share + d) / (2 * share))[p <= 0.05].sum()
    assert 0.74 < power < 0.81


def test_too_few_examples_can_show_nothing():
    assert detectable_difference(20, 0.05) == math.inf
    assert detectable_difference(2000, 0.05) > detectable_difference(10_000, 0.05)


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    for k, m in itertools.product((2, 5, 9), (2, 6)):
        first, second = rng.normal(0.3, 1, k), rng.normal(0, 2, m)
        wanted = stats.ttest_ind(first, second, equal_var=False).pvalue
        assert welch(first.tolist(), second.tolist()) == pytest.approx(float(wanted), rel=1e-9)
    assert welch([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert welch([1.0, 1.0], [2.0, 2.0]) == 0.0


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, and never below the one before."""
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]) == []


HITS = torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: mcnemar(HITS[:0], HITS[:0]), ValueError, "n >= 1"),
        (lambda: mcnemar(HITS, HITS[:2]), ValueError, r"\[3\] and \[2\]"),
        (lambda: mcnemar(HITS.float(), HITS), TypeError, "bool"),
        (lambda: paired_difference(HITS, HITS, resamples=1), ValueError, "resamples"),
        (lambda: paired_difference(HITS, HITS, level=95), ValueError, "0 < level < 1"),
        (lambda: paired_difference(torch.tensor([float("nan")]), torch.zeros(1)), ValueError, "NaN"),
        (lambda: detectable_difference(0, 0.1), ValueError, "n to be"),
        (lambda: detectable_difference(10, 0.0), ValueError, "discordant_share"),
        (lambda: welch([1.0], [1.0, 2.0]), ValueError, "two models"),
        (lambda: holm([1.2]), ValueError, r"\[0, 1\]"),
    ],
)
def test_bad_input_is_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
