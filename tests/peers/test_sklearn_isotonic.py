"""scikit-learn's own tests of isotonic regression, from the installed package, run on `fit_isotonic`.

Its tests build an `IsotonicRegression`; here they build the adapter below. Its targets are any numbers, ours are 0 and 1: an
example with target y in [0, 1] and weight w is the same as one with label 1 and weight w y and one with label 0 and weight w (1 - y),
and a rising curve may be shifted and stretched. Falling curves are fitted to -y. So every number goes through `fit_isotonic`.

Left out are the tests of what ours does not have: `check_increasing`, out_of_bounds="raise" and "nan", dtypes of integers, columns
[n, 1], feature names, pandas, `_make_unique` with its tolerance (ours pools scores that are equal, a row in docs/conventions.md).
"""

import numpy as np
import pytest
import torch
from sklearn.isotonic import check_increasing
from sklearn.tests import test_isotonic as theirs

from posttrain_lab.calibration import fit_isotonic

pytestmark = pytest.mark.peers

THEIR_TESTS = [
    *("permutation_invariance", "isotonic_regression", "isotonic_regression_ties_min", "isotonic_regression_ties_max"),
    *("isotonic_regression_ties_secondary_", "isotonic_regression_with_ties_in_differently_sized_groups"),
    *("isotonic_regression_reversed", "isotonic_regression_auto_decreasing", "isotonic_regression_auto_increasing"),
    *("isotonic_sample_weight_parameter_default_value", "isotonic_min_max_boundaries", "isotonic_sample_weight"),
    *("isotonic_regression_oob_clip", "isotonic_regression_pickle", "isotonic_duplicate_min_entry", "isotonic_ymin_ymax"),
    *("isotonic_zero_weight_loop", "isotonic_copy_before_fit", "isotonic_non_regression_inf_slope"),
    "isotonic_regression_sample_weight_not_overwritten",
]


class Ours:
    """`fit_isotonic` with the arguments of scikit-learn's IsotonicRegression."""

    def __init__(self, y_min=None, y_max=None, increasing=True, out_of_bounds="clip"):
        self.y_min, self.y_max, self.increasing = y_min, y_max, increasing

    def fit(self, x, y, sample_weight=None):
        x, y = np.asarray(x, float).reshape(-1), np.asarray(y, float)
        weight = np.ones_like(y) if sample_weight is None else np.asarray(sample_weight, float)
        rising = check_increasing(x, y) if self.increasing == "auto" else self.increasing
        self.sign = 1.0 if rising else -1.0
        y = self.sign * y
        self.low, self.span = y.min(), np.ptp(y) or 1.0
        share = (y - self.low) / self.span
        scores, weights = torch.tensor(np.r_[x, x]), torch.tensor(np.r_[weight * share, weight * (1 - share)])
        labels = torch.tensor(np.r_[np.ones_like(y), np.zeros_like(y)])
        self.curve = fit_isotonic(scores, labels, weights)
        return self

    def predict(self, x):
        found = self.curve(torch.tensor(np.asarray(x, float).reshape(-1))).numpy()
        return np.clip(self.sign * (self.low + self.span * found), self.y_min, self.y_max)

    transform = predict

    def fit_transform(self, x, y, sample_weight=None):
        return self.fit(x, y, sample_weight).predict(x)


def our_regression(y, *, sample_weight=None, y_min=None, y_max=None, increasing=True):
    return Ours(y_min, y_max, increasing).fit_transform(np.arange(len(y)), y, sample_weight)


def close(first, second):
    """Their tests ask for equal bits; the adapter's stretching costs some."""
    np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", THEIR_TESTS)
def test_theirs_on_ours(name, monkeypatch):
    calls = []

    class Counted(Ours):
        def __init__(self, *args, **options):
            calls.append(name)
            super().__init__(*args, **options)

    def counted(*args, **options):
        calls.append(name)
        return our_regression(*args, **options)

    monkeypatch.setattr(theirs, "IsotonicRegression", Ours if "pickle" in name else Counted)
    monkeypatch.setattr(theirs, "isotonic_regression", counted)
    monkeypatch.setattr(theirs, "assert_array_equal", close)
    getattr(theirs, f"test_{name}")()
    assert calls or "pickle" in name, "the test did not call ours"


def test_their_cases_can_fail(monkeypatch):
    """With a curve that is a little off, their cases fail: they look at ours."""

    class Off(Ours):
        def predict(self, x):
            return super().predict(x) + 0.01 * np.arange(len(np.asarray(x)))

        transform = predict

    monkeypatch.setattr(theirs, "IsotonicRegression", Off)
    with pytest.raises(AssertionError):
        theirs.test_isotonic_regression_ties_min()


def test_many_predictions_equal_theirs():
    """Their `test_fast_predict` looks inside; its data, with weights of 0, on both."""
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(123)
    x = rng.uniform(-10, 10, 1000)
    y = (rng.random(1000) < 1 / (1 + np.exp(-x))).astype(float)
    weight = rng.random(1000) * (rng.random(1000) >= 0.1)
    new = rng.uniform(-11, 11, 1000)
    wanted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y, sample_weight=weight).predict(new)
    curve = fit_isotonic(torch.tensor(x), torch.tensor(y), torch.tensor(weight))
    np.testing.assert_allclose(curve(torch.tensor(new)).numpy(), wanted, atol=1e-12)
