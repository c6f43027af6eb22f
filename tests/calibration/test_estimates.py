"""Estimates without bias are 0 on average for honest models; intervals hold what they promise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posttrain_lab.calibration import (
    adaptive_ece,
    bootstrap_interval,
    debiased_error,
    ece_by_chance,
    expected_calibration_error,
    kernel_error,
)
from posttrain_lab.calibration.estimates import BLOCK

from .drawing import honest_yes, modest, yes_or_no

SAMPLES = 300


def standard_error(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


@pytest.mark.parametrize("estimate", [debiased_error, kernel_error])
def test_an_honest_model_has_no_error_on_average_and_the_ece_says_it_has(estimate):
    found = [estimate(*honest_yes(60, seed)) for seed in range(SAMPLES)]
    assert abs(np.mean(found)) < 4 * standard_error(found)
    biased = [expected_calibration_error(*honest_yes(60, seed)) for seed in range(SAMPLES)]
    assert np.mean(biased) > 0.1


def test_kernel_error_sees_what_bins_see():
    p, y = honest_yes(2000)
    assert kernel_error(p**3, y) > 20 * abs(kernel_error(p, y))
    assert debiased_error(p**3, y) == pytest.approx(((p**3 - p) ** 2).mean().item(), rel=0.1)


@modest
@given(data=yes_or_no(least=2, most=12), width=st.floats(0.05, 2))
def test_kernel_error_is_its_definition(data, width):
    p, y = data
    n = len(p)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    each = [(y[i] - p[i]) * (y[j] - p[j]) * torch.exp(-(p[i] - p[j]).abs() / width) for i, j in pairs]
    assert kernel_error(p, y, width) == pytest.approx(sum(each).item() / (n * (n - 1)), abs=1e-12)


def test_kernel_error_in_blocks():
    p, y = honest_yes(BLOCK + 3)
    gap = y - p
    whole = gap @ torch.exp(-(p[:, None] - p).abs() / 0.1) @ gap - gap @ gap
    assert kernel_error(p, y) == pytest.approx(whole.item() / (len(p) * (len(p) - 1)), rel=1e-9)


def test_debiased_error_is_its_definition_in_one_bin():
    p, y = torch.tensor([0.25, 0.5, 0.75, 0.5]), torch.tensor([1, 1, 0, 1])
    assert debiased_error(p, y, 1) == pytest.approx((0.75 - 0.5) ** 2 - 0.75 * 0.25 / 3)


def test_the_bootstrap_of_a_mean_covers():
    # 95 % intervals for the mean of 40 numbers: about 93 % cover (percentiles of a small sample are a little short).
    truth, covered = 1.0, 0
    for seed in range(SAMPLES):
        x = torch.from_numpy(np.random.default_rng(seed).exponential(truth, 40))
        found = bootstrap_interval(lambda v: v.mean().item(), x, resamples=200, seed=seed)
        covered += found.low <= truth <= found.high
    assert 0.88 < covered / SAMPLES < 0.98


def test_the_bootstrap_resamples_rows_together_and_is_seeded():
    x = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert bootstrap_interval(lambda a, b: (a - b).abs().max().item(), x, x.clone(), resamples=20).high == 0
    first, again, other = (bootstrap_interval(lambda v: v.mean().item(), x, resamples=50, seed=s) for s in (0, 0, 1))
    assert first == again != other
    assert first.low <= first.value <= first.high
    wide = bootstrap_interval(lambda v: v.mean().item(), x, resamples=50, level=0.99)
    assert wide.low <= first.low <= first.high <= wide.high


def test_an_ece_and_its_interval_are_centred():
    p, y = honest_yes(300)
    found = bootstrap_interval(expected_calibration_error, p, y, resamples=200)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("error", [expected_calibration_error, adaptive_ece])
def test_chance_explains_the_error_of_an_honest_model_only(error):
    inside = 0
    for seed in range(40):
        p, y = honest_yes(400, seed)
        chance = ece_by_chance(p, resamples=100, seed=seed, error=error)
        inside += chance.low <= error(p, y, 15) <= chance.high
    assert inside >= 33  # 38 expected; P(fewer than 33 of 40 at 95 %) < 0.002
    p, y = honest_yes(400)
    assert error(p**2, y, 15) > ece_by_chance(p**2, error=error).high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval(len, torch.zeros(2), torch.zeros(3)), r"one length n >= 1, got lengths \[2, 3\]"),
        (lambda: bootstrap_interval(len, torch.zeros(0)), r"got lengths \[0\]"),
        (lambda: bootstrap_interval(len, torch.zeros(2), resamples=1), "resamples to be a whole number >= 2"),
        (lambda: bootstrap_interval(len, torch.zeros(2), level=95), "0 < level < 1, got 95"),
        (lambda: ece_by_chance(torch.tensor([2.0])), r"confidence in \[0, 1\]"),
        (lambda: debiased_error(torch.tensor([0.5] * 3), torch.tensor([0, 1, 1]), 2), "two examples per bin or more, got n=3"),
        (lambda: kernel_error(torch.tensor([0.5]), torch.tensor([1])), "two examples or more, got n=1"),
        (lambda: kernel_error(torch.tensor([0.5] * 2), torch.tensor([1, 0]), 0), "width to be a finite number > 0, got 0"),
    ],
)
def test_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
