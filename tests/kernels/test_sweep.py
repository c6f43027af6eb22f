"""Integer results on 10,000 random shapes and values, extremes included, against int64 and float64 arithmetic."""

import numpy as np
import pytest
import torch

from posttrain_lab import kernels

SEED = 2026


def _values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform codes, or bell-shaped ones as trained weights are, or the two ends only, or one end everywhere."""
    kind = rng.integers(4)
    if kind == 0:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    if kind == 1:
        return np.clip(rng.normal(0, 40, shape).round(), -128, 127).astype(np.int8)
    return rng.choice(np.array([-128, 127], np.int8), shape) if kind == 2 else np.full(shape, rng.choice([-128, 127]), np.int8)


def _matmul(rng: np.random.Generator) -> bool:
    m, k, n = rng.integers(0, (40, 90, 70))
    a, b = _values(rng, m, k), _values(rng, k, n)
    got = kernels.int8_matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    return np.array_equal(got, a.astype(np.int64) @ b.astype(np.int64))


def _linear(rng: np.random.Generator) -> bool:
    """Rows that hold 127 have scale 1: their codes are the numbers themselves, and with scales of 1 the result is the sum."""
    m, k, n = rng.integers(1, (140, 90, 70))
    x, w = np.maximum(_values(rng, m, k), -127), _values(rng, n, k)
    x[np.arange(m), rng.integers(0, k, m)] = 127
    weight = kernels.Int8Weight.from_codes(torch.from_numpy(w), torch.ones(n))
    got = kernels.int8_linear(torch.from_numpy(x.astype(np.float32)), weight).numpy()
    return np.array_equal(got, (x.astype(np.int64) @ w.T.astype(np.int64)).astype(np.float32))


def _conv(rng: np.random.Generator) -> bool:
    n, h, w, cg, og, kh, kw = rng.integers(1, (3, 10, 10, 9, 20, 4, 4))
    stride, padding, groups, pad_value = (int(one) for one in rng.integers((1, 0, 1, -128), (4, 3, 4, 128)))
    if min(h, w) + 2 * padding < max(kh, kw):
        return True
    x, filters = _values(rng, n, h, w, cg * groups), _values(rng, og * groups, cg, kh, kw)
    weight = kernels.Int8ConvWeight.from_codes(torch.from_numpy(filters), torch.ones(int(og) * groups), groups)
    got = kernels.int8_conv2d(torch.from_numpy(x), weight, stride, padding, pad_value)
    image = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=pad_value).astype(np.float64)
    want = torch.nn.functional.conv2d(
        torch.from_numpy(image).permute(0, 3, 1, 2), torch.from_numpy(filters.astype(np.float64)), stride=stride, groups=groups
    )
    return np.array_equal(got.numpy(), want.permute(0, 2, 3, 1).numpy().astype(np.int64))


@pytest.mark.slow
@pytest.mark.parametrize(("check", "number"), [(_matmul, 4000), (_linear, 4000), (_conv, 2000)])
def test_integers_are_exact(check, number):
    rng = np.random.default_rng(SEED)
    assert all(check(rng) for _ in range(number))
