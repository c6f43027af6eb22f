"""Ranges against numpy, exhaustive search and scipy's entropy; planted outliers; degenerate and bad input."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from posttrain_lab.quantization import (
    MSE_GRID,
    PERCENTILE,
    affine_qparams,
    code_range,
    dequantize,
    observe,
    observers,
    quantize,
    squared_error,
)
from tests.quantization.nets import randn

pytestmark = pytest.mark.slow

METHODS = ["minmax", "percentile", "mse", "kl"]
LAWS = settings(max_examples=10, deadline=None, derandomize=True)


def with_outlier(n: int = 10_000, outlier: float = 100.0, seed: int = 0) -> torch.Tensor:
    x = randn(n, seed=seed)
    x[n // 3] = outlier
    return x


def test_minmax_is_the_range():
    x = randn(3, 4, 5)
    assert observe(x) == (x.min().item(), x.max().item())


@pytest.mark.parametrize("size", [1, 2, 999, 1001, 50_000])
def test_percentile_is_numpys(size):
    x = randn(size)
    assert PERCENTILE == 0.001
    want = np.quantile(x.double().numpy(), [0.001, 0.999])
    assert observe(x, "percentile") == pytest.approx(tuple(want), rel=1e-12)


def test_percentile_takes_each_tail_by_itself():
    """Of one-sided values, the quantile of the magnitudes would leave the lower end at the smallest one or at its mirror."""
    x = torch.cat([torch.linspace(0, 1, 1001), torch.tensor([-50.0])])
    low, high = observe(x, "percentile")
    assert -50 < low < 0.01
    assert 0.99 < high < 1


def error_by_float64(x: torch.Tensor, low: float, high: float, bits: int) -> float:
    scale, zero_point = affine_qparams(low, high, bits)
    qmin, qmax = code_range(bits)
    steps = x.float().numpy() / np.float32(scale)
    codes = np.clip(np.round(steps) + zero_point, qmin, qmax) - zero_point
    return float(((x.double().numpy() - codes * np.float64(np.float32(scale))) ** 2).sum())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_mse_is_the_best_of_the_grid(bits, seed):
    x = with_outlier(500, 10.0, seed) if seed % 2 else randn(500, seed=seed).relu()
    factors, ends = np.linspace(0.01, 1, 100), (x.min().item(), x.max().item())
    errors = [error_by_float64(x, f * ends[0], f * ends[1], bits) for f in factors]
    low, high = observe(x, "mse", bits)
    assert len(MSE_GRID) == 100
    chosen = np.abs(factors * ends[1] - high).argmin()
    assert (low, high) == pytest.approx((factors[chosen] * ends[0], factors[chosen] * ends[1]), rel=1e-6)
    # the two errors differ by float32's rounding of one product and one difference a value: far below 1e-5 of them
    assert errors[chosen] <= min(errors) * (1 + 1e-5)


@LAWS
@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.01, 1.0))
def test_no_factor_of_the_grid_beats_mse(seed, bits, factor):
    x = with_outlier(300, 8.0, seed)
    ends, nearest = observe(x), MSE_GRID[(MSE_GRID - factor).abs().argmin()].item()
    assert squared_error(x, *observe(x, "mse", bits), bits) <= squared_error(x, ends[0] * nearest, ends[1] * nearest, bits)


@LAWS
@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.01, 1.0), st.integers(-30, 30))
def test_squared_error_is_that_of_quantize_and_dequantize(seed, bits, factor, power):
    """Bit for bit: the short cut through floats must not choose another range."""
    x = randn(50, seed=seed) * 10.0**power
    low, high = factor * x.min().item(), factor * x.max().item()
    point = affine_qparams(low, high, bits)
    for values in (x, x.double()):
        difference = values - dequantize(quantize(values, *point, bits), *point)
        assert squared_error(values, low, high, bits) == difference.double().square().sum().item()


@pytest.mark.parametrize(
    ("x", "kind", "says"),
    [
        (torch.tensor([1.0, math.nan]), ValueError, "got NaN"),
        (torch.tensor([1.0, math.nan]).double(), ValueError, "got NaN"),
        (torch.ones(2, dtype=torch.int8), TypeError, "wants a float tensor"),
        ([1.0], TypeError, "wants a float tensor"),
    ],
)
def test_squared_error_says_what_it_wants(x, kind, says):
    with pytest.raises(kind, match=says):
        squared_error(x, -1.0, 1.0)


def test_mse_ties_go_to_the_larger_range():
    """-1, 0 and 1 are codes of the whole range, and of it alone can no error be smaller: zero ties with nothing, so keep it."""
    assert observe(torch.zeros(4), "mse") == (0.0, 0.0)
    x = torch.tensor([0.0, 3.0])  # exact with factor 1; every smaller factor clips 3
    assert observe(x, "mse", bits=2) == (0.0, 3.0)


@pytest.mark.parametrize("bits", [3, 4])
def test_a_planted_outlier_is_clipped(bits):
    """One value of 30 among 10,000 of a standard normal distribution, whose own largest is below 5."""
    x = with_outlier(outlier=30.0)
    assert observe(x, "minmax", bits)[1] == 30.0
    assert observe(x, "percentile", bits)[1] < 5
    low, high = observe(x, "mse", bits)
    assert high < 15
    common = x.clamp(-5, 5)
    assert squared_error(common, low, high, bits) < 0.5 * squared_error(common, *observe(x), bits)


def test_kl_clips_what_is_rare_and_keeps_what_is_common():
    x = with_outlier(100_000)
    low, high = observe(x, "kl")
    assert high < 50
    assert low >= x.min().item()
    uniform = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    assert observe(uniform, "kl")[1] > 0.95


@pytest.mark.parametrize("bits", [3, 5])
@pytest.mark.parametrize("one_sided", [True, False])
def test_kl_is_the_best_threshold_by_scipys_entropy(bits, one_sided, monkeypatch):
    """Every threshold tried, written the long way: merge, spread over the bins that are not empty, smooth, compare."""
    bins = 200
    monkeypatch.setattr(observers, "KL_BINS", bins)
    x = randn(3000, seed=bits) ** 3
    x = x.abs() if one_sided else x
    magnitudes = x.double().abs().numpy()
    counts = np.histogram(magnitudes[magnitudes > 0], bins, (0, magnitudes.max()))[0].astype(float)
    levels = 2**bits if one_sided else 2 ** (bits - 1)
    best, best_keep = np.inf, 0
    for keep in range(levels, bins + 1):
        kept, spread = counts[:keep], np.zeros(keep)
        edges = [level * keep // levels for level in range(levels + 1)]
        for start, stop in itertools.pairwise(edges):
            filled = kept[start:stop] > 0
            if filled.any():
                spread[start:stop][filled] = kept[start:stop].sum() / filled.sum()
        clipped = kept.copy()
        clipped[-1] += counts[keep:].sum()
        share = spread / spread.sum() if spread.any() else spread
        divergence = entropy(clipped / clipped.sum(), (1 - 1e-4) * share + 1e-4 / keep)
        if divergence <= best + 1e-12:
            best, best_keep = divergence, keep
    threshold = best_keep * magnitudes.max() / bins
    low, high = observe(x, "kl", bits)
    assert high == pytest.approx(min(x.max().item(), threshold), rel=1e-9)
    assert low == pytest.approx(max(x.min().item(), -threshold), rel=1e-9)


@LAWS
@given(st.integers(0, 10**6), st.sampled_from(METHODS), st.integers(2, 8))
def test_ranges_lie_inside_what_was_seen(seed, method, bits):
    x = randn(200, seed=seed)
    low, high = observe(x, method, bits)
    assert x.min().item() <= low <= high <= x.max().item()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 3.0, -2.5])
def test_a_constant_can_be_quantized(method, value):
    low, high = observe(torch.full((7,), value), method)
    assert affine_qparams(low, high)[0] > 0
    assert min(low, 0) <= value <= max(high, 0)
    assert squared_error(torch.full((7,), value), low, high) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_one_value_any_strides_half_precision_and_repeated_calls(method):
    x = randn(40, 30)
    before = x.clone()
    assert observe(x[:1, :1], method) == (x[0, 0].item(), x[0, 0].item())
    assert observe(x.T[::2], method) == observe(x.T[::2].contiguous(), method)
    assert observe(x.half(), method) == observe(x.half().float(), method)
    assert observe(x, method) == observe(x, method)
    assert torch.equal(x, before)


@pytest.mark.parametrize("method", METHODS)
def test_bad_values(method):
    with pytest.raises(ValueError, match=r"observe wants at least one value, got shape \(0, 3\)"):
        observe(torch.empty(0, 3), method)
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="observe wants finite values in x, got NaN or infinity"):
            observe(torch.tensor([1.0, value]), method)
    with pytest.raises(TypeError, match=r"observe wants a float tensor x, got torch\.int8"):
        observe(torch.ones(3, dtype=torch.int8), method)
    with pytest.raises(TypeError, match="observe wants a float tensor x, got list"):
        observe([1.0], method)
    for bits in (1, 9):
        with pytest.raises(ValueError, match=f"observe wants bits from 2 to 8, got {bits}"):
            observe(torch.ones(3), method, bits)


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match=r"observe wants method .* got 'max'; choose one of them"):
        observe(torch.ones(3), "max")
