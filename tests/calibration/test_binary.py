"""Platt, isotonic, beta and histogram calibration against scikit-learn, exact fits and their laws."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from posttrain_lab.calibration import (
    apply_platt,
    expected_calibration_error,
    fit_beta,
    fit_histogram,
    fit_isotonic,
    fit_platt,
    pool_adjacent_violators,
)

from .drawing import honest_yes, modest, yes_or_no


class Scored(ClassifierMixin, BaseEstimator):
    """A classifier whose decision function is the one feature it is given."""

    def fit(self, x, y):
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, x):
        return x[:, 0]

    def predict(self, x):
        return (x[:, 0] > 0).astype(int)


@pytest.mark.parametrize("seed", range(3))
def test_platt_is_scikit_learns_sigmoid(seed):
    p, y = honest_yes(150, seed)
    scores = 4 * (p - 0.3) + p**3
    fitted = CalibratedClassifierCV(FrozenEstimator(Scored().fit(None, None)), method="sigmoid", cv=2, ensemble=False)
    fitted.fit(scores[:, None].numpy(), y.numpy())
    sigmoid = fitted.calibrated_classifiers_[0].calibrators[0]
    a, b = fit_platt(scores, y)
    assert (a, b) == pytest.approx((-sigmoid.a_, -sigmoid.b_), abs=1e-3)  # L-BFGS there, Newton here
    oracle = fitted.predict_proba(scores[:, None].numpy())[:, 1]
    np.testing.assert_allclose(apply_platt(scores, a, b).numpy(), oracle, atol=2e-4)


@pytest.mark.parametrize("seed", range(3))
def test_platt_is_logistic_regression_on_weighted_targets(seed):
    # Each example counts as a yes with weight t and a no with weight 1 - t, t being Platt's target.
    p, y = honest_yes(80, seed)
    ones, zeros = y.sum().item(), (1 - y).sum().item()
    t = np.where(y.numpy() == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    x = np.concatenate([p.numpy(), p.numpy()])[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000, solver="newton-cholesky")
    model.fit(x, np.repeat([1, 0], 80), sample_weight=np.concatenate([t, 1 - t]))
    assert fit_platt(p, y) == pytest.approx((model.coef_[0, 0], model.intercept_[0]), abs=1e-6)


def test_perfect_separation_has_its_defined_limit():
    # Two scores only: sigmoid meets Platt's targets (n1 + 1)/(n1 + 2) and 1/(n0 + 2) exactly.
    scores, y = torch.tensor([-3.0] * 4 + [5.0] * 7), torch.tensor([0] * 4 + [1] * 7)
    a, b = fit_platt(scores, y)
    assert apply_platt(torch.tensor([-3.0, 5.0]), a, b).tolist() == pytest.approx([1 / 6, 8 / 9], abs=1e-6)
    wide = fit_platt(torch.linspace(-1, 1, 40), (torch.linspace(-1, 1, 40) > 0).long())
    assert all(np.isfinite(wide))
    assert wide[0] > 0


@modest
@given(shift=st.floats(-1e3, 1e3), unit=st.floats(1e-4, 1e4))
def test_platt_does_not_depend_on_the_unit_of_the_score(shift, unit):
    p, y = honest_yes(40)
    a, b = fit_platt(p, y)
    a2, b2 = fit_platt(unit * p + shift, y)
    # b2 = b - a shift/unit loses digits of its own when shift/unit is large
    slack = 1e-7 * (1 + abs(a * shift / unit))
    np.testing.assert_allclose(apply_platt(unit * p + shift, a2, b2).numpy(), apply_platt(p, a, b).numpy(), atol=slack)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_isotonic_is_scikit_learns(seed, weighted):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 40, 200) / 4.0  # many ties
    y = (rng.random(200) < scores / 12).astype(int)
    w = rng.integers(1, 5, 200).astype(float) if weighted else None
    oracle = IsotonicRegression(out_of_bounds="clip").fit(scores, y, w)
    ours = fit_isotonic(torch.from_numpy(scores), torch.from_numpy(y), None if w is None else torch.from_numpy(w))
    asked = np.linspace(-2, 12, 500)
    np.testing.assert_allclose(ours(torch.from_numpy(asked)).numpy(), oracle.predict(asked), atol=1e-12)


@modest
@given(rows=st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=1, max_size=30))
def test_pooling_is_scipys_and_obeys_its_laws(rows):
    values, weights = map(list, zip(*rows, strict=True))
    found = np.array(pool_adjacent_violators(values, weights))
    np.testing.assert_allclose(found, isotonic_regression(values, weights=weights).x, atol=1e-9)
    assert (np.diff(found) >= -1e-12).all()
    assert np.dot(found, weights) == pytest.approx(np.dot(values, weights), abs=1e-9)  # the weighted mean stays


@modest
@given(data=yes_or_no(least=4))
def test_isotonic_laws(data):
    p, y = data
    if y.min() == y.max():
        return
    curve = fit_isotonic(p, y)
    found = curve(p)
    assert ((found >= 0) & (found <= 1)).all()
    order = p.argsort(stable=True)
    assert (found[order].diff() >= 0).all()
    assert torch.equal(fit_isotonic(p.flip(0), y.flip(0)).probability, curve.probability)  # order of the examples
    doubled = fit_isotonic(torch.cat([p, p]), torch.cat([y, y]))
    assert torch.allclose(doubled.probability, curve.probability)
    weighted = fit_isotonic(p, y, torch.full_like(p, 2.0))
    assert torch.allclose(weighted.probability, curve.probability)
    assert expected_calibration_error(found, y, 1) < 1e-9  # the mean is kept


def test_an_example_of_weight_zero_is_left_out():
    p, y = honest_yes(50)
    w = torch.ones(50).double()
    w[30:] = 0
    assert torch.equal(fit_isotonic(p, y, w).probability, fit_isotonic(p[:30], y[:30]).probability)


def test_beta_is_logistic_regression_on_its_two_features():
    p, y = honest_yes(400)
    q = p**2 / (p**2 + (1 - p) ** 1.5)
    x = torch.stack([q.log(), -(1 - q).log()], dim=1).numpy()
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=2000, solver="newton-cholesky").fit(x, y.numpy())
    assert (model.coef_ > 0).all()
    curve = fit_beta(q, y)
    assert (curve.a, curve.b, curve.c) == pytest.approx((*model.coef_[0], model.intercept_[0]), abs=1e-5)


def test_beta_can_leave_probabilities_as_they_are():
    p, y = honest_yes(200_000)
    curve = fit_beta(p, y)
    assert (curve.a, curve.b, curve.c) == pytest.approx((1, 1, 0), abs=0.05)


def test_beta_never_falls():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(300, generator=generator, dtype=torch.float64)
    y = (torch.rand(300, generator=generator, dtype=torch.float64) < 0.2 + 2 * (p - 0.5).abs() * 0.6).long()
    curve = fit_beta(p, y)
    assert min(curve.a, curve.b) >= 0
    assert (curve(torch.linspace(0, 1, 50)).diff() >= 0).all()
    upside_down = fit_beta(p, (p < 0.5).long() ^ (torch.rand(300, generator=generator) < 0.1).long())
    assert (upside_down.a, upside_down.b) == (0, 0)


def test_histogram_gives_shares():
    p, y = honest_yes(1000)
    curve = fit_histogram(p, y, 10)
    for b in range(10):
        inside = (p > b / 10) & (p <= (b + 1) / 10)
        assert curve(p[inside])[0].item() == pytest.approx(y[inside].double().mean().item(), abs=1e-12)
    assert expected_calibration_error(curve(p), y, 1) < 1e-12
    few = fit_histogram(torch.tensor([0.1, 0.9]), torch.tensor([0, 1]), 2)
    assert few(torch.tensor([0.3, 0.6])).tolist() == [0.0, 1.0]


def test_an_empty_bin_keeps_its_middle():
    curve = fit_histogram(torch.tensor([0.1, 0.1, 0.9, 0.9]), torch.tensor([0, 1, 1, 1]), 4)
    assert curve.probability.tolist() == [0.5, 0.375, 0.625, 1.0]


FITS = [fit_platt, fit_isotonic, fit_beta, fit_histogram]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("scores", "labels", "error", "message"),
    [
        (torch.tensor([0.1, 0.9]), torch.tensor([1, 1]), ValueError, "both classes, got 2 ones among 2"),
        (torch.tensor([0.1, 0.9]), torch.tensor([0, 0]), ValueError, "both classes, got 0 ones"),
        (torch.tensor([0.1, float("nan")]), torch.tensor([0, 1]), ValueError, "got NaN"),
        (torch.tensor([0.1, 0.9]), torch.tensor([0, 2]), ValueError, "bool or 0/1"),
        (torch.tensor([0.1, 0.9]), torch.tensor([0]), ValueError, r"labels \[2\]"),
        (torch.zeros(0), torch.zeros(0), ValueError, "n >= 1"),
        (torch.tensor([1, 0]), torch.tensor([0, 1]), TypeError, "floating-point Tensor"),
        ([0.1, 0.9], torch.tensor([0, 1]), TypeError, "got list"),
    ],
)
def test_all_refuse(fit, scores, labels, error, message):
    with pytest.raises(error, match=f"^{fit.__name__} wants .*{message}"):
        fit(scores, labels)


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_scores_are_finite(fit):
    with pytest.raises(ValueError, match="got infinity"):
        fit(torch.tensor([0.0, float("inf")]), torch.tensor([0, 1]))


@pytest.mark.parametrize("fit", [fit_beta, fit_histogram])
def test_logits_passed_as_probabilities_are_noticed(fit):
    with pytest.raises(ValueError, match="look like logits"):
        fit(torch.tensor([-2.0, 3.0]), torch.tensor([0, 1]))


@pytest.mark.parametrize("fit", [fit_platt, fit_beta])
def test_one_point_is_no_line(fit):
    with pytest.raises(ValueError, match=f"^{fit.__name__} wants .* that differ"):
        fit(torch.full((4,), 0.5), torch.tensor([0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.tensor([1.0, -1.0]), "weights >= 0, got -1"),
        (torch.tensor([0.0, 0.0]), "weight above 0"),
        (torch.tensor([1.0, float("nan")]), "got NaN"),
        (torch.tensor([1.0]), r"weights \[2\]"),
    ],
)
def test_isotonic_refuses_weights(weights, message):
    with pytest.raises(ValueError, match=f"^fit_isotonic wants .*{message}"):
        fit_isotonic(torch.tensor([0.1, 0.9]), torch.tensor([0, 1]), weights)


def test_beta_says_that_the_classes_are_separated():
    with pytest.raises(ValueError, match="separates the classes perfectly"):
        fit_beta(torch.tensor([0.1, 0.2, 0.8]), torch.tensor([0, 0, 1]))


def test_histogram_wants_no_more_bins_than_examples():
    with pytest.raises(ValueError, match="got 15 bins for 2 examples"):
        fit_histogram(torch.tensor([0.1, 0.9]), torch.tensor([0, 1]))


@pytest.mark.parametrize("what", ["isotonic", "beta", "histogram"])
def test_curves_refuse_nan(what):
    p, y = honest_yes(50)
    curve = {"isotonic": fit_isotonic, "beta": fit_beta, "histogram": fit_histogram}[what](p, y)
    with pytest.raises(ValueError, match="got NaN"):
        curve(torch.tensor([float("nan")]))


NEAR = {
    "subnormal": [0.0, 1e-320, 2e-320, 1.0],
    "the smallest": [0.0, 5e-324, 1.0, 2.0],
    "the largest": [-1.7e308, 0.0, 1.7e308, 1.79e308],
    "neighbours": [1.0, 1.0 + 2**-52, 1.0 + 2**-51, 2.0],
}


@pytest.mark.parametrize("name", NEAR)
def test_isotonic_stays_a_probability_where_a_slope_overflows(name):
    """Against exact fractions: the share of the way between two scores, however near or far they are."""
    scores = torch.tensor(NEAR[name], dtype=torch.float64)
    curve = fit_isotonic(scores, torch.tensor([0, 1, 0, 1]))
    knots = [Fraction(v) for v in NEAR[name]]
    values = [Fraction(0), Fraction(1, 2), Fraction(1, 2), Fraction(1)]
    between = [a / 2 + b / 2 for a, b in itertools.pairwise(NEAR[name])]
    asked = torch.tensor([*NEAR[name], *between, -math.inf, math.inf, 0.5, 5e-321, 1e-310], dtype=torch.float64)
    for got, x in zip(curve(asked).tolist(), asked.tolist(), strict=True):
        x = min(max(Fraction(x) if math.isfinite(x) else (knots[-1] if x > 0 else knots[0]), knots[0]), knots[-1])
        i = max(1, next(i for i, knot in enumerate(knots) if x <= knot))
        want = values[i - 1] + (values[i] - values[i - 1]) * (x - knots[i - 1]) / (knots[i] - knots[i - 1])
        assert got == pytest.approx(float(want), abs=1e-15)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=12), st.integers(0, 2**12))
def test_isotonic_of_any_scores_rises_and_stays_in_0_1(scores, bits):
    labels = torch.tensor([0, 1, *[bits >> i & 1 for i in range(len(scores) - 2)]])
    curve = fit_isotonic(torch.tensor(scores, dtype=torch.float64), labels)
    asked = torch.tensor([*scores, *[a / 2 + b / 2 for a, b in itertools.pairwise(scores)]], dtype=torch.float64).sort().values
    found = curve(asked)
    assert ((found >= 0) & (found <= 1)).all()
    assert (found.diff() >= 0).all()
