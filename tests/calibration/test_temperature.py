"""A planted temperature comes back; the accuracy never moves; what has no answer is said."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from posttrain_lab.calibration import apply_temperature, fit_temperature, nll

from .drawing import honest, modest

pytestmark = pytest.mark.portable


@pytest.mark.parametrize("planted", [0.2, 0.5, 1.0, 1.7, 3.0, 20.0])
def test_a_planted_temperature_comes_back_within_one_percent(planted):
    logits, labels = honest(60_000, 10)
    assert fit_temperature(planted * logits, labels) == pytest.approx(planted, rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_scipy_finds_the_same_minimum(seed):
    logits, labels = honest(300, 4, seed=seed)
    found = minimize_scalar(lambda log_t: nll(3 * logits / math.exp(log_t), labels), bounds=(-3, 5), method="bounded")
    assert math.log(fit_temperature(3 * logits, labels)) == pytest.approx(found.x, abs=1e-4)


def test_the_slope_is_zero_there():
    logits, labels = honest(500, 5)
    t = torch.tensor(fit_temperature(logits, labels), dtype=torch.float64, requires_grad=True)
    torch.nn.functional.cross_entropy(logits / t, labels).backward()
    assert abs(t.grad.item()) < 1e-10


@modest
@given(seed=st.integers(0, 20), factor=st.floats(1e-3, 1e6))
def test_laws(seed, factor):
    logits, labels = honest(40, 3, seed=seed)
    t = fit_temperature(logits, labels)
    assert t > 0
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor * t, rel=1e-6)  # units of the logits
    assert fit_temperature(logits + 7, labels) == pytest.approx(t, rel=1e-6)  # a shift changes nothing
    scaled = apply_temperature(logits, t)
    assert torch.equal(scaled.argmax(1), logits.argmax(1))  # accuracy stays
    assert fit_temperature(scaled, labels) == pytest.approx(1, rel=1e-6)  # fitting again finds nothing to do
    assert nll(scaled, labels) <= nll(logits, labels) + 1e-12


def test_float32_and_the_input_is_left_alone():
    logits, labels = honest(200, 3)
    before = logits.float()
    kept = before.clone()
    assert fit_temperature(before, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-5)
    assert torch.equal(before, kept)
    assert apply_temperature(before, 2.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0]), "wants logits, got rows that are >= 0 and sum to 1"),
        (torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 1]), "every label on top"),
        (torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([1, 0]), "no better than a guess"),
        (torch.tensor([[3.0, 3.0]]), torch.tensor([0]), "rows of equal numbers"),
        (torch.tensor([[2.0, float("nan")]]), torch.tensor([0]), "got NaN"),
        (torch.tensor([[2.0, float("-inf")]]), torch.tensor([0]), "got infinity"),
        (torch.tensor([[2.0], [3.0]]), torch.tensor([0, 0]), "2 classes or more"),
        (torch.tensor([[2.0, 0.0]]), torch.tensor([5]), r"labels in 0\.\.1"),
    ],
)
def test_refuses(logits, labels, message):
    with pytest.raises(ValueError, match=f"^fit_temperature .*{message}"):
        fit_temperature(logits, labels)


@pytest.mark.parametrize("t", [0.0, -1.0, math.nan, math.inf, "2", True])
def test_apply_refuses(t):
    with pytest.raises(ValueError, match="temperature to be a finite number > 0"):
        apply_temperature(torch.zeros(1, 2), t)
