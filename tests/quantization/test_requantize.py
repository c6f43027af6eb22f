"""Fixed-point rescaling against Python's own fractions, at ties and at the extremes of int32."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain_lab.quantization import code_range, fixed_point, requantize

pytestmark = pytest.mark.portable

LAWS = settings(max_examples=100, deadline=None, derandomize=True)
INT32 = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1, 0, 1, -1])
MULTIPLIERS = st.floats(2.0**-70, 2.0**70) | st.floats(1e-6, 1.0)


@LAWS
@given(st.floats(min_value=1e-300, max_value=1e300))
def test_fixed_point_is_the_nearest_of_31_bits(multiplier):
    m, shift = fixed_point(multiplier)
    assert 2**30 <= m < 2**31
    exact = Fraction(multiplier)
    assert abs(m * Fraction(2) ** -shift - exact) <= exact * Fraction(1, 2**31)


@pytest.mark.parametrize("multiplier", [1.0, 0.5, 2.0**-40, 2.0**40, 1 - 2**-53, 1 - 2**-32, 1e-320])
def test_fixed_point_at_powers_of_two(multiplier):
    m, shift = fixed_point(multiplier)
    assert 2**30 <= m < 2**31
    assert m * Fraction(2) ** -shift == pytest.approx(Fraction(multiplier), rel=2**-31)


@pytest.mark.parametrize("multiplier", [0.0, -0.5, float("nan"), float("inf")])
def test_multipliers_are_positive_and_finite(multiplier):
    with pytest.raises(ValueError, match="fixed_point wants a positive, finite multiplier"):
        fixed_point(multiplier)
    with pytest.raises(ValueError, match="fixed_point wants a positive, finite multiplier"):
        requantize(torch.zeros(1, dtype=torch.int32), multiplier, 0)


def by_fractions(value: int, multiplier: float, zero_point: int, bits: int) -> int:
    """The definition, in Python's unbounded integers, with the shift as `fixed_point` gives it."""
    m, shift = fixed_point(multiplier)
    rounded = math.floor(Fraction(value * m) / Fraction(2) ** shift + Fraction(1, 2))  # half up
    qmin, qmax = code_range(bits)
    return min(max(rounded + zero_point, qmin), qmax)


@LAWS
@given(st.lists(INT32, min_size=1, max_size=20), MULTIPLIERS, st.integers(2, 8), st.data())
def test_requantize_equals_fractions(values, multiplier, bits, data):
    zero_point = data.draw(st.integers(*code_range(bits)))
    got = requantize(torch.tensor(values, dtype=torch.int32), multiplier, zero_point, bits)
    assert got.dtype == torch.int8
    assert got.tolist() == [by_fractions(value, multiplier, zero_point, bits) for value in values]


@LAWS
@given(st.lists(INT32, min_size=1, max_size=20), st.floats(1e-9, 1.0))
def test_requantize_is_within_one_code_of_real_arithmetic(values, multiplier):
    """Inside the codes acc * multiplier < 128.5, so the multiplier's 2^-31 moves it by less than 2^-23: one code at a tie."""
    got = requantize(torch.tensor(values, dtype=torch.int32), multiplier, 0)
    for code, value in zip(got.tolist(), values, strict=True):
        real = min(max(Fraction(value) * Fraction(multiplier), Fraction(-128)), Fraction(127))
        assert abs(code - real) <= Fraction(1, 2) + Fraction(1, 2**23)


def test_ties_go_up():
    acc = torch.tensor([-5, -3, -1, 1, 3, 5], dtype=torch.int32)
    assert requantize(acc, 0.5, 0).tolist() == [-2, -1, 0, 1, 2, 3]
    assert requantize(acc, 0.5, 10).tolist() == [8, 9, 10, 11, 12, 13]


def test_extremes_of_int32_do_not_overflow():
    acc = torch.tensor([2**31 - 1, -(2**31), 1, 0, -1], dtype=torch.int32)
    assert requantize(acc, 1 - 2**-33, 0).tolist() == [127, -128, 1, 0, -1]
    assert requantize(acc, 2.0**-24, 0).tolist() == [127, -128, 0, 0, 0]
    assert requantize(acc, 2.0**-32, 0).tolist() == [0, 0, 0, 0, 0]  # 2147483647 / 2^32 is just below a half; -1/2 goes up
    assert requantize(acc, 1e-30, 7).tolist() == [7, 7, 7, 7, 7]
    assert requantize(acc, 1e30, 7).tolist() == [127, -128, 127, 7, -128]


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 3, 4, 5), (0, 3)])
def test_channels_have_their_own_multipliers(shape):
    acc = torch.randint(-10_000, 10_000, shape, generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    multiplier = torch.tensor([0.01, 0.3, 0.0007])
    got, axis = requantize(acc, multiplier, 3), min(1, len(shape) - 1)
    for i in range(3):
        assert torch.equal(got.select(axis, i), requantize(acc.select(axis, i), multiplier[i].item(), 3))
    assert torch.equal(requantize(acc, multiplier[1], 3), requantize(acc, multiplier[1].item(), 3))


def test_requantize_bad_input():
    acc = torch.zeros(4, 3, dtype=torch.int32)
    with pytest.raises(TypeError, match=r"requantize wants int32 sums, got torch\.float32"):
        requantize(acc.float(), 0.5, 0)
    with pytest.raises(TypeError, match="requantize wants int32 sums, got list"):
        requantize([1], 0.5, 0)
    with pytest.raises(ValueError, match=r"one multiplier, or \[3\] of them for sums of shape \(4, 3\), got \(4,\)"):
        requantize(acc, torch.ones(4), 0)
    with pytest.raises(ValueError, match=r"requantize wants a zero_point in -8\.\.7, got 8"):
        requantize(acc, 0.5, 8, bits=4)
    with pytest.raises(ValueError, match="requantize wants bits from 2 to 8, got 9"):
        requantize(acc, 0.5, 0, bits=9)
    assert requantize(torch.empty(0, dtype=torch.int32), 0.5, 0).shape == (0,)
