"""Expected calibration error against exact fractions, scikit-learn's bins and hand cases at the edges."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from posttrain_lab.calibration import expected_calibration_error
from posttrain_lab.calibration.arguments import check_probabilities, check_probability

pytestmark = pytest.mark.portable

modest = settings(max_examples=100, deadline=None, derandomize=True)


def exact(confidence: np.ndarray, correct: np.ndarray, bins: int) -> Fraction:
    """The definition with fractions, one example and one bin at a time; edges rounded to the dtype of confidence."""
    edges = [Fraction(float(confidence.dtype.type(b / bins))) for b in range(bins + 1)]
    total = Fraction(0)
    for b in range(1, bins + 1):
        members = [
            (Fraction(float(p)), Fraction(int(hit)))
            for p, hit in zip(confidence, correct, strict=True)
            if edges[b - 1] < Fraction(float(p)) <= edges[b] or (b == 1 and p == 0)
        ]
        if members:
            hit_rate = sum(hit for _, hit in members) / Fraction(len(members))
            mean = sum(p for p, _ in members) / Fraction(len(members))
            total += Fraction(len(members), len(confidence)) * abs(hit_rate - mean)
    return total


@modest
@given(
    bins=st.integers(1, 20),
    width=st.sampled_from([np.float32, np.float64]),
    rows=st.lists(st.tuples(st.floats(0, 1, width=32) | st.integers(0, 20), st.booleans()), min_size=1, max_size=40),
)
def test_equals_the_definition_in_fractions(bins, width, rows):
    # An integer k stands for the edge k / bins itself (or 1), where a wrong closing side would show.
    confidence = np.array([min(p / bins, 1.0) if isinstance(p, int) else p for p, _ in rows], dtype=width)
    correct = np.array([hit for _, hit in rows])
    found = expected_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct), bins)
    assert found == pytest.approx(float(exact(confidence, correct, bins)), abs=1e-14)
    assert 0 <= found <= 1


def test_agrees_with_the_bins_of_scikit_learn():
    rng = np.random.default_rng(0)
    confidence, bins = rng.random(500), 15
    correct = rng.random(500) < confidence**2
    hit_rate, mean = calibration_curve(correct, confidence, n_bins=bins)
    counts = np.bincount(np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True), minlength=bins)
    oracle = np.sum(counts[counts > 0] / 500 * np.abs(hit_rate - mean))
    found = expected_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct), bins)
    assert found == pytest.approx(oracle, abs=1e-12)


def ece(confidence: list[float], correct: list[int], bins: int) -> float:
    dtype = torch.float64
    return expected_calibration_error(torch.tensor(confidence, dtype=dtype), torch.tensor(correct, dtype=dtype), bins)


def test_an_edge_belongs_to_the_bin_on_its_left():
    # Right-closed: 0.5 is with 0.25; the gaps -0.5 and +0.75 cancel to 0.25 / 2. Left-closed: apart, 1.25 / 2.
    assert ece([0.5, 0.25], [0, 1], bins=2) == 0.125
    # Right-closed: 0.5 and 0.75 are apart, 0.5 / 2 + 0.25 / 2. Left-closed together: |-0.5 + 0.25| / 2.
    assert ece([0.5, 0.75], [0, 1], bins=2) == 0.375


def test_zero_joins_the_first_bin_and_one_the_last():
    assert ece([0.0, 0.5], [1, 0], bins=2) == 0.25
    assert ece([1.0, 0.75], [0, 1], bins=2) == 0.375
    assert ece([1.0], [1], bins=15) == 0.0
    assert ece([0.0], [0], bins=15) == 0.0
    assert ece([1.0], [0], bins=15) == 1.0


def test_bins_are_weighted_by_their_counts():
    # Three examples with gap 0.1 in the upper bin, one with gap 0.2 in the lower.
    assert ece([0.9, 0.9, 0.9, 0.2], [1, 1, 1, 0], bins=2) == pytest.approx((3 * 0.1 + 0.2) / 4, abs=1e-15)


def test_bool_integer_and_float_hits_are_the_same():
    confidence = torch.tensor([0.3, 0.6, 0.9])
    hits = torch.tensor([True, False, True])
    kinds = (torch.bool, torch.int64, torch.float32)
    values = {expected_calibration_error(confidence, hits.to(kind)) for kind in kinds}
    assert len(values) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_edges_are_rounded_to_the_dtype_of_confidence(dtype):
    edges = (torch.arange(1, 16, dtype=torch.float64) / 15).to(dtype)
    above = torch.nextafter(edges, torch.tensor(2.0, dtype=dtype)) if dtype is torch.float32 else None
    for b, edge in enumerate(edges):
        inside = torch.tensor([(b + 0.5) / 15], dtype=dtype)
        both = expected_calibration_error(torch.stack([edge, inside[0]]), torch.tensor([0, 1]))
        assert both == pytest.approx(abs(1 - edge.item() - inside.item()) / 2, abs=1e-12)
        if above is not None and b < 14:
            apart = expected_calibration_error(torch.stack([above[b], inside[0]]), torch.tensor([0, 1]))
            assert apart == pytest.approx((above[b].item() + 1 - inside.item()) / 2, abs=1e-12)


ONE = torch.tensor([0.5])
HIT = torch.tensor([True])


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "error", "message"),
    [
        ([0.5], HIT, 15, TypeError, "confidence to be a floating-point Tensor, got list"),
        (torch.tensor([1]), HIT, 15, TypeError, "floating-point Tensor, got torch.int64"),
        (ONE, [True], 15, TypeError, "correct to be a Tensor of bool or 0/1, got list"),
        (ONE, torch.tensor([1j]), 15, TypeError, "got torch.complex64"),
        (torch.zeros(0), torch.zeros(0), 15, ValueError, r"n >= 1, got shapes \[0\]"),
        (torch.zeros(2, 2), torch.zeros(2, 2), 15, ValueError, r"got shapes \[2, 2\]"),
        (torch.zeros(2), torch.zeros(3), 15, ValueError, r"\[2\] and \[3\]"),
        (torch.tensor([math.nan]), HIT, 15, ValueError, r"in \[0, 1\], got nan"),
        (torch.tensor([math.inf]), HIT, 15, ValueError, "got inf"),
        (torch.tensor([-0.1]), HIT, 15, ValueError, "got -0.1"),
        (torch.tensor([4.2]), HIT, 15, ValueError, "not logits"),
        (ONE, torch.tensor([2]), 15, ValueError, "bool or 0/1, got other values"),
        (ONE, torch.tensor([math.nan]), 15, ValueError, "bool or 0/1, got other values"),
        (ONE, HIT, 0, ValueError, "bins to be a whole number >= 1, got 0"),
        (ONE, HIT, 2.5, TypeError, "bins to be a whole number >= 1, got 2.5"),
    ],
)
def test_refuses(confidence, correct, bins, error, message):
    with pytest.raises(error, match=f"^expected_calibration_error wants .*{message}"):
        expected_calibration_error(confidence, correct, bins)


@pytest.mark.parametrize("value", [1.0000001, 1.0005, -1e-7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rounded_confidence_is_shown_with_its_digits_and_not_called_a_logit(value, dtype):
    """1.0000001 was printed as "0..1", which is inside."""
    confidence = torch.tensor([0.5, value], dtype=dtype)
    calls = [
        lambda: expected_calibration_error(confidence, torch.tensor([True, False])),
        lambda: check_probability("f", "p", confidence),
        lambda: check_probabilities("f", confidence[None]),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"in \[0, 1\], got (.*)\.\.(.*); rounding moved some out .* do \.clamp\(0, 1\)\.$"
        ) as found:
            call()
        low, high = (float(end) for end in str(found.value).partition("got ")[2].partition(";")[0].split(".."))
        assert low < 0 or high > 1
        assert "logits" not in str(found.value)
    with pytest.raises(ValueError, match="not logits"):
        expected_calibration_error(torch.tensor([0.5, 1.5]), torch.tensor([True, False]))
