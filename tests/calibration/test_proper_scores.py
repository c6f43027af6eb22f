"""Negative log-likelihood and Brier score against scikit-learn and each other's laws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from posttrain_lab.calibration import brier, brier_decomposition, nll

from .drawing import as_numpy, honest, honest_yes, modest, yes_or_no

pytestmark = pytest.mark.portable


def test_agree_with_scikit_learn():
    logits, labels = honest(300, 4)
    p = logits.softmax(1)
    assert nll(logits, labels) == pytest.approx(log_loss(*as_numpy(labels, p), labels=range(4)), abs=1e-12)
    oracle = brier_score_loss(*as_numpy(labels, p), labels=range(4), scale_by_half=False)
    assert brier(p, labels) == pytest.approx(oracle, abs=1e-12)


def test_brier_of_two_classes_is_twice_that_of_one_probability():
    p, y = honest_yes(100)
    oracle = brier_score_loss(*as_numpy(y, p))
    assert brier(torch.stack([1 - p, p], 1), y) == pytest.approx(2 * oracle, abs=1e-12)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_nll_is_stable_at_any_size(size):
    assert nll(torch.tensor([[size, 0.0]]), torch.tensor([0])) == 0
    assert nll(torch.tensor([[size, 0.0]]), torch.tensor([1])) == pytest.approx(size, rel=1e-6)


def test_extremes():
    sure = torch.tensor([[1.0, 0.0]])
    assert brier(sure, torch.tensor([0])) == 0
    assert brier(sure, torch.tensor([1])) == 2
    assert nll(torch.zeros(1, 4), torch.tensor([2])) == pytest.approx(torch.tensor(4.0).log().item())


@modest
@given(shift=st.floats(-50, 50), seed=st.integers(0, 5))
def test_nll_does_not_see_a_shift_of_a_row(shift, seed):
    logits, labels = honest(20, 3, seed=seed)
    assert nll(logits + shift, labels) == pytest.approx(nll(logits, labels), abs=1e-10)


@pytest.mark.parametrize("wrong", [0.5, 0.8, 1.25, 2.0])
def test_proper_scores_are_best_at_the_truth(wrong):
    logits, labels = honest(20_000, 3)
    assert nll(logits, labels) < nll(wrong * logits, labels)
    assert brier(logits.softmax(1), labels) < brier((wrong * logits).softmax(1), labels)


@modest
@given(data=yes_or_no(), bins=st.integers(1, 10))
def test_the_parts_of_the_brier_score_add_up(data, bins):
    p, y = data
    parts = brier_decomposition(p, y, bins)
    assert parts.score == pytest.approx(((p - y) ** 2).mean().item(), abs=1e-12)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert total == pytest.approx(parts.score, abs=1e-12)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0
    assert parts.resolution <= parts.uncertainty + 1e-12


def test_perfectly_calibrated_and_useless():
    y = torch.tensor([1] * 3 + [0] * 9)
    parts = brier_decomposition(torch.full((12,), 0.25), y)
    assert parts.reliability == 0
    assert parts.resolution == 0
    assert parts.score == parts.uncertainty == 0.1875


BAD_ROWS = [
    (torch.tensor([[0.5, 0.6]]), ValueError, "sum to 1, got 1.1 in row 0"),
    (torch.tensor([[2.0, -1.0]]), ValueError, "these look like logits"),
    (torch.tensor([[float("nan"), 1.0]]), ValueError, "got NaN"),
    (torch.zeros(0, 2), ValueError, "n >= 1"),
    (torch.tensor([0.5, 0.5]), ValueError, r"\[n, c\]"),
    (torch.tensor([[1, 0]]), TypeError, "floating-point Tensor, got torch.int64"),
    ([[0.5, 0.5]], TypeError, "got list"),
]


@pytest.mark.parametrize(("p", "error", "message"), BAD_ROWS)
def test_brier_refuses(p, error, message):
    with pytest.raises(error, match=f"^brier wants .*{message}"):
        brier(p, torch.tensor([0]))


def test_rows_that_rounding_left_below_1_are_used_as_they_are():
    assert brier(torch.tensor([[0.33, 0.33, 0.33]]), torch.tensor([0])) == pytest.approx(0.67**2 + 2 * 0.33**2)


def test_classes_that_are_ruled_out_count_nothing():
    logits = torch.tensor([[1.0, -float("inf"), 2.0], [0.0, 1.0, -float("inf")]])
    left = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    assert nll(logits, torch.tensor([2, 0])) == pytest.approx(nll(left, torch.tensor([1, 0])), abs=1e-12)


def test_rounded_probabilities_of_small_dtypes_are_accepted():
    logits, labels = honest(50, 10)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert brier(logits.to(dtype).softmax(1), labels) > 0


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (torch.tensor([[0.0, float("nan")]]), torch.tensor([0]), ValueError, "got NaN"),
        (torch.tensor([[0.0, float("inf")]]), torch.tensor([0]), ValueError, r"got \+inf"),
        (torch.tensor([[1.0, 2.0], [0.0, -float("inf")]]), torch.tensor([1, 1]), ValueError, r"-inf for the label of row 1"),
        (torch.zeros(1, 2), torch.tensor([2]), ValueError, r"labels in 0\.\.1"),
        (torch.zeros(1, 2), torch.tensor([-1]), ValueError, "got -1"),
        (torch.zeros(1, 2), torch.tensor([0.0]), TypeError, "whole numbers, got torch.float32"),
        (torch.zeros(2, 2), torch.tensor([0]), ValueError, r"labels \[2\]"),
    ],
)
def test_nll_refuses(logits, labels, error, message):
    with pytest.raises(error, match=f"^nll wants .*{message}"):
        nll(logits, labels)
