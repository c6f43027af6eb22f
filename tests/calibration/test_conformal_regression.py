"""Quantile lines against scikit-learn's linear program; intervals that keep their promise when the lines are wrong."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom
from sklearn.linear_model import QuantileRegressor

from posttrain_lab.calibration import conformal_quantile, fit_quantile, interval_scores, pinball_loss, widen

from .drawing import modest


def spread_data(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """y whose spread grows with the first of two features."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 2, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 100.0])
    noise = torch.randn(n, generator=generator, dtype=torch.float64)
    return x, 3 * x[:, 0] - 0.02 * x[:, 1] + (0.1 + x[:, 0]) * noise


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(2))
def test_loss_is_that_of_the_linear_program(share, seed):
    x, y = spread_data(300, seed)
    oracle = QuantileRegressor(quantile=share, alpha=0, solver="highs").fit(x.numpy(), y.numpy())
    best = pinball_loss(torch.from_numpy(oracle.predict(x.numpy())), y, share)
    line = fit_quantile(x, y, share)
    # The rounded corner costs at most CORNER * spread * log(1/CORNER) per example.
    assert best - 1e-12 <= pinball_loss(line(x), y, share) <= best + 2e-4 * y.std().item()
    below = (y <= line(x)).double().mean().item()
    assert below == pytest.approx(share, abs=4 / 300)  # d + 1 points lie on the line


@modest
@given(factor=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_a_line_moves_with_its_data(factor, shift):
    x, y = spread_data(60)
    line, moved = fit_quantile(x, y, 0.8), fit_quantile(x, factor * y + shift, 0.8)
    assert torch.allclose(moved(x), factor * line(x) + shift, rtol=0, atol=2e-3 * factor + 1e-9 * abs(shift))


def test_exact_lines_are_found():
    x = torch.arange(10.0)[:, None]
    line = fit_quantile(x, 2 * x[:, 0] - 1, 0.3)
    assert (line.weight.item(), line.bias) == pytest.approx((2, -1), abs=1e-4)  # the corner, 1e-5 of the spread of y


@pytest.mark.parametrize("alpha", [0.1, 0.3])
@pytest.mark.parametrize("wrong", [0.0, 0.4])
def test_coverage_over_500_splits_is_inside_its_interval(alpha, wrong):
    n, m, splits = 49, 50, 500
    x, y = spread_data(1000, seed=9)
    low, high = (fit_quantile(x, y, share) for share in (alpha / 2, 1 - alpha / 2))
    x, y = spread_data(20_000)
    ends = low(x) + wrong, high(x) + wrong  # lines in the wrong place: the promise holds all the same
    scores = interval_scores(*ends, y)
    covered, generator = 0, torch.Generator().manual_seed(0)
    for _ in range(splits):
        index = torch.randperm(len(y), generator=generator)[: n + m]
        bottom, top = widen(*(end[index[n:]] for end in ends), conformal_quantile(scores[index[:n]], alpha))
        covered += int(((bottom <= y[index[n:]]) & (y[index[n:]] <= top)).sum())
    k = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    law = betabinom(m, k, n + 1 - k)
    assert abs(covered - splits * law.mean()) < 2.576 * math.sqrt(splits * law.var())


def test_intervals_are_wider_where_the_data_are():
    x, y = spread_data(2000)
    low, high = (fit_quantile(x, y, share) for share in (0.05, 0.95))
    width = high(x) - low(x)
    wide = x[:, 0] > 0.5
    assert width[wide].mean() > 1.5 * width[~wide].mean()


def test_too_few_examples_hold_all_numbers():
    q = conformal_quantile(interval_scores(torch.zeros(3), torch.ones(3), torch.ones(3)), 0.1)
    low, high = widen(torch.zeros(2), torch.ones(2), q)
    assert low.tolist() == [-math.inf] * 2
    assert high.tolist() == [math.inf] * 2


X, Y = spread_data(10)


@pytest.mark.parametrize(
    ("x", "y", "share", "message"),
    [
        (X, Y[:5], 0.5, r"n >= d \+ 2, got \[10, 2\] and \[5\]"),
        (X[:3], Y[:3], 0.5, r"n >= d \+ 2"),
        (X * torch.nan, Y, 0.5, "got NaN"),
        (X, Y * torch.inf, 0.5, "got infinity"),
        (X, Y, 1.0, "0 < share < 1"),
    ],
)
def test_refuse(x, y, share, message):
    with pytest.raises(ValueError, match=f"^fit_quantile wants .*{message}"):
        fit_quantile(x, y, share)
