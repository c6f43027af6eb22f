"""Affine codes against torchao and exact fractions, with the laws that any right answer obeys."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from posttrain_lab.quantization import (
    PerTensor,
    affine_qparams,
    channel_qparams,
    code_range,
    dequantize,
    fake_quantize_weight,
    quantize,
    quantize_weight,
)
from tests.quantization.nets import randn

LAWS = settings(max_examples=60, deadline=None, derandomize=True)
BITS = st.integers(2, 8)
REALS = st.floats(-1e6, 1e6, width=32)
RANGES = st.tuples(REALS, REALS).map(sorted)


# code_range


def test_code_ranges_are_those_of_twos_complement():
    assert [code_range(bits) for bits in (2, 4, 8)] == [(-2, 1), (-8, 7), (-128, 127)]
    assert [code_range(bits, symmetric=True) for bits in (2, 4, 8)] == [(-1, 1), (-7, 7), (-127, 127)]


BITS_WANTED = [
    (lambda bits: code_range(bits), "code_range"),
    (lambda bits: affine_qparams(0.0, 1.0, bits), "affine_qparams"),
    (lambda bits: quantize(torch.ones(2), 0.1, 0, bits), "quantize"),
    (lambda bits: channel_qparams(torch.ones(2, 2), bits), "channel_qparams"),
    (lambda bits: quantize_weight(torch.ones(2, 2), bits, PerTensor()), "quantize_weight"),
    (lambda bits: fake_quantize_weight(torch.ones(2, 2), bits, PerTensor()), "quantize_weight"),
]


@pytest.mark.parametrize(("call", "name"), BITS_WANTED)
def test_bits_are_2_to_8(call, name):
    for bits in (1, 0, 9, -3):
        with pytest.raises(ValueError, match=f"{name} wants bits from 2 to 8, got {bits}"):
            call(bits)
    for bits in (4.0, True, "8", None):
        with pytest.raises(TypeError, match=f"{name} wants a whole number of bits"):
            call(bits)


# affine_qparams


@pytest.mark.slow
@LAWS
@given(ends=RANGES, bits=BITS)
def test_qparams_equal_torchao(torchao, ends, bits):
    low, high = ends
    assume(high - low > 1e-3)
    qmin, qmax = code_range(bits)
    scale, zero_point = torchao.choose_qparams_affine_with_min_max(
        torch.tensor(low, dtype=torch.float64),
        torch.tensor(high, dtype=torch.float64),
        torchao.MappingType.ASYMMETRIC,
        (1,),
        torch.int8,
        qmin,
        qmax,
        eps=1e-30,
        scale_dtype=torch.float64,
        zero_point_dtype=torch.int32,
    )
    got_scale, got_zero = affine_qparams(low, high, bits)
    assert got_scale == pytest.approx(scale.item(), rel=1e-12)
    # at an exact tie the order of the float64 operations may decide
    exact = qmin - Fraction(min(low, 0)) / Fraction(got_scale)
    assert got_zero == zero_point.item() or abs(exact % 1 - Fraction(1, 2)) < Fraction(1, 10**9)


@LAWS
@given(RANGES, BITS, st.booleans())
def test_zero_is_a_code_and_comes_back_as_zero(ends, bits, symmetric):
    scale, zero_point = affine_qparams(*ends, bits, symmetric)
    qmin, qmax = code_range(bits, symmetric)
    assert qmin <= zero_point <= qmax
    code = quantize(torch.zeros(3), scale, zero_point, bits)
    assert (code == zero_point).all()
    assert (dequantize(code, scale, zero_point) == 0).all()


@LAWS
@given(RANGES, BITS, st.booleans())
def test_the_codes_reach_over_the_range(ends, bits, symmetric):
    """Rounding the zero point may move the ends by half a step, no more."""
    scale, zero_point = affine_qparams(*ends, bits, symmetric)
    qmin, qmax = code_range(bits, symmetric)
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    assert (qmin - zero_point) * scale <= low + scale * (0.5 + 1e-9)
    assert (qmax - zero_point) * scale >= high - scale * (0.5 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        ((0.0, 255.0), (1.0, -128)),
        ((-128.0, 127.0), (1.0, 0)),
        ((-255.0, 0.0), (1.0, 127)),
        ((10.0, 255.0), (1.0, -128)),  # widened to hold 0
        ((-255.0, -10.0), (1.0, 127)),
        ((-1.0, 2.0, 2), (1.0, -1)),
        ((-3.0, 127.0, 8, True), (1.0, 0)),
        ((-7.0, 1.0, 4, True), (1.0, 0)),
        ((0.0, 0.0), (1.0, 0)),
        ((0.0, 0.0, 4, True), (1.0, 0)),
        ((-0.5, 254.5), (1.0, -128)),  # -127.5: a tie goes to the even code
    ],
)
def test_qparams_by_hand(arguments, want):
    assert affine_qparams(*arguments) == want


@LAWS
@given(REALS.filter(lambda c: abs(c) > 1e-30), BITS, st.booleans())
def test_a_constant_comes_back(c, bits, symmetric):
    """The constant is an end of the widened range; two float32 roundings (scale, product) lie between it and its return."""
    x = torch.full((4,), c)
    scale, zero_point = affine_qparams(c, c, bits, symmetric)
    back = dequantize(quantize(x, scale, zero_point, bits), scale, zero_point)
    assert torch.allclose(back, x, rtol=2**-22, atol=0)


@pytest.mark.parametrize("low", [0.0, -5e-324, -1e-40])
def test_scales_never_fall_below_float32(low):
    scale, zero_point = affine_qparams(low, 1e-40)
    assert scale == torch.finfo(torch.float32).tiny
    assert dequantize(quantize(torch.tensor([1e-40]), scale, zero_point), scale, zero_point).isfinite().all()


@pytest.mark.parametrize("ends", [(float("nan"), 1.0), (0.0, float("nan")), (-float("inf"), 1.0), (0.0, float("inf"))])
def test_ranges_are_finite(ends):
    with pytest.raises(ValueError, match="affine_qparams wants a finite range"):
        affine_qparams(*ends)


def test_ranges_are_in_order_and_fit_float32():
    with pytest.raises(ValueError, match=r"wants low <= high, got 2.0 and 1.0; swap them"):
        affine_qparams(2.0, 1.0)
    with pytest.raises(ValueError, match="float32 can hold"):
        affine_qparams(-1e300, 1e300)


# quantize, dequantize


@pytest.mark.slow
@LAWS
@given(values=st.lists(REALS, min_size=1, max_size=40), ends=RANGES, bits=BITS)
def test_quantize_and_dequantize_equal_torchao(torchao, values, ends, bits):
    """torchao multiplies by 1 / scale, so codes may differ by one where x / scale is nearly a tie; elsewhere they are equal."""
    assume(ends[1] - ends[0] > 1e-3)
    x, (scale, zero_point), (qmin, qmax) = torch.tensor(values), affine_qparams(*ends, bits), code_range(bits)
    wants = (tuple(x.shape), torch.tensor([scale]), torch.tensor([zero_point]), torch.int8, qmin, qmax)
    want, got = torchao.quantize_affine(x, *wants), quantize(x, scale, zero_point, bits)
    assert got.dtype == torch.int8
    steps = x.double() / np.float32(scale)
    near_a_tie = ((steps - steps.floor()) - 0.5).abs() <= 2**-20 * steps.abs().clamp_min(1)
    assert torch.equal(got[~near_a_tie], want[~near_a_tie])
    back = torchao.dequantize_affine(got, wants[0], wants[1], wants[2], torch.int8, qmin, qmax)
    assert torch.equal(dequantize(got, scale, zero_point), back)


@LAWS
@given(st.lists(REALS, min_size=1, max_size=40), BITS, st.booleans())
def test_inside_the_range_the_error_is_half_a_step(values, bits, symmetric):
    """scale / 2, plus the zero point's half step at the ends, plus float32.

    float32: x / scale has at most 255 steps and half a unit of its last place, 255 * 2^-24 steps; so has the product back.
    The scale itself is rounded to float32, 2^-24 of at most 255 steps on either way: together 4 * 255 * 2^-24 < 2^-14 steps.
    """
    x = torch.tensor(values)
    scale, zero_point = affine_qparams(min(values), max(values), bits, symmetric)
    qmin, qmax = code_range(bits, symmetric)
    inside = (x.double() >= (qmin - zero_point) * scale) & (x.double() <= (qmax - zero_point) * scale)
    error = (dequantize(quantize(x, scale, zero_point, bits), scale, zero_point).double() - x.double()).abs()
    assert (error[inside] <= scale * (0.5 + 2**-14)).all()
    assert (error <= scale * (1 + 2**-14)).all()


@LAWS
@given(st.lists(REALS, min_size=2, max_size=40), st.floats(1e-3, 1e3), BITS, st.data())
def test_quantize_is_monotone_and_stays_inside_the_codes(values, scale, bits, data):
    qmin, qmax = code_range(bits)
    zero_point = data.draw(st.integers(qmin, qmax))
    codes = quantize(torch.tensor(sorted(values)), scale, zero_point, bits).int()
    assert (codes.diff() >= 0).all()
    assert qmin <= codes.min() <= codes.max() <= qmax


@LAWS
@given(BITS, st.floats(1e-3, 1e3), st.data())
def test_a_code_comes_back_as_itself(bits, scale, data):
    qmin, qmax = code_range(bits)
    codes = torch.arange(qmin, qmax + 1, dtype=torch.int8)
    zero_point = data.draw(st.integers(qmin, qmax))
    assert torch.equal(quantize(dequantize(codes, scale, zero_point), scale, zero_point, bits), codes)


def test_ties_go_to_the_even_code_before_the_zero_point_is_added():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    assert quantize(x, 1.0, 0).tolist() == [0, 2, 2, 0, -2, -2]
    assert quantize(x, 1.0, 1).tolist() == [1, 3, 3, 1, -1, -1]


def test_too_large_saturates_even_infinity():
    x = torch.tensor([1e30, -1e30, float("inf"), -float("inf"), 3.4e38])
    assert quantize(x, 1e-30, 5).tolist() == [127, -128, 127, -128, 127]
    assert quantize(x, 1.0, -3, bits=3).tolist() == [3, -4, 3, -4, 3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_quantized_by_their_values(dtype):
    x = randn(100).to(dtype)
    assert torch.equal(quantize(x, 0.03, 4), quantize(x.double(), 0.03, 4))


def test_scales_and_zero_points_broadcast():
    x, scale, zero_point = randn(3, 4), torch.tensor([[0.1], [0.2], [0.3]]), torch.tensor([[0], [5], [-5]])
    codes = quantize(x, scale, zero_point)
    assert all(torch.equal(codes[i], quantize(x[i], scale[i].item(), zero_point[i].item())) for i in range(3))
    back = dequantize(codes, scale, zero_point)
    assert all(torch.equal(back[i], dequantize(codes[i], scale[i].item(), zero_point[i].item())) for i in range(3))


def test_inputs_stay_and_gradients_stop():
    x = randn(5).requires_grad_()
    before = x.detach().clone()
    assert not quantize(x, 0.1, 0).requires_grad
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_nothing_is_quantized_to_nothing(shape):
    codes = quantize(torch.empty(shape), 0.1, 0)
    assert (codes.shape, codes.dtype) == (shape, torch.int8)
    assert dequantize(codes, 0.1, 0).shape == shape


def test_views_give_what_their_copies_give():
    x = randn(6, 4).T[::2]
    assert torch.equal(quantize(x, 0.05, 1), quantize(x.contiguous(), 0.05, 1))


@pytest.mark.parametrize("scale", [0.0, -0.1, float("nan"), float("inf"), 1e-60, torch.tensor([0.1, 0.0])])
def test_scales_are_positive_and_finite(scale):
    with pytest.raises(ValueError, match=r"^quantize wants a positive, finite torch.float32 scale"):
        quantize(torch.ones(2), scale, 0)
    with pytest.raises(ValueError, match=r"^dequantize wants a positive, finite torch.float32 scale"):
        dequantize(torch.ones(2, dtype=torch.int8), scale, 0)


def test_zero_points_are_codes():
    for zero_point in (128, -129, torch.tensor([0, 200])):
        with pytest.raises(ValueError, match=r"quantize wants a zero_point in -128..127"):
            quantize(torch.ones(2), 0.1, zero_point)
        with pytest.raises(ValueError, match=r"dequantize wants a zero_point in -128..127"):
            dequantize(torch.ones(2, dtype=torch.int8), 0.1, zero_point)
    with pytest.raises(ValueError, match=r"wants a zero_point in -8..7, got 8"):
        quantize(torch.ones(2), 0.1, 8, bits=4)
    with pytest.raises(TypeError, match=r"wants a whole number as zero_point, got 0\.5"):
        quantize(torch.ones(2), 0.1, 0.5)


def test_bad_values_shapes_and_dtypes():
    with pytest.raises(ValueError, match="quantize wants numbers in x, got NaN"):
        quantize(torch.tensor([1.0, float("nan")]), 0.1, 0)
    with pytest.raises(TypeError, match=r"quantize wants a float tensor x, got torch.int64"):
        quantize(torch.ones(2, dtype=torch.int64), 0.1, 0)
    with pytest.raises(TypeError, match=r"quantize wants a float tensor x, got list"):
        quantize([1.0], 0.1, 0)
    with pytest.raises(TypeError, match=r"dequantize wants an integer tensor q, got torch\.float32"):
        dequantize(torch.ones(2), 0.1, 0)
    for scale in (torch.ones(3), torch.ones(2, 2)):  # the second would widen the result
        with pytest.raises(ValueError, match=r"wants a scale that broadcasts against \(2,\), got .*scale\[:, None\]"):
            quantize(torch.ones(2), scale, 0)
    with pytest.raises(ValueError, match=r"wants a zero_point that broadcasts against \(2,\), got \(3,\)"):
        dequantize(torch.ones(2, dtype=torch.int8), 0.1, torch.zeros(3, dtype=torch.int32))
