"""The promises that the checks of unit 04 make in their docstrings: planted optima, curvatures, conventions, and an adapter's words."""

import math

import pytest
import torch

from posttrain_lab import checks
from posttrain_lab.checks.calibration.conformal_quantile import right_quantile
from posttrain_lab.checks.calibration.fit_isotonic import isotonic_cases
from posttrain_lab.checks.calibration.fit_isotonic_oracle import right_isotonic
from posttrain_lab.checks.calibration.fit_platt import platt_cases, right_platt
from posttrain_lab.checks.calibration.fit_temperature import curvature, planted, temperature_cases
from posttrain_lab.checks.calibration.fit_temperature_oracle import HIGH, LOW, right_temperature
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.engine.submission import LocalSubmission

SEEDS = range(6)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_planted_temperature_is_the_optimum(temperature, classes):
    logits, labels = planted(Draw(3, "planted"), temperature, classes=classes)
    assert right_temperature(logits, labels) == pytest.approx(temperature, rel=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_percent_of_temperature_can_be_seen_in_float32(seed):
    for case in temperature_cases(seed):
        logits, labels = case.args
        best = right_temperature(logits, labels)
        assert 0.1 < curvature(logits, labels, best) < 1.5, case.words
        assert LOW < best < HIGH, case.words


def test_a_temperature_that_stopped_on_its_way_is_told_so():
    exercise = checks.exercises("04_calibration")["fit_temperature"]
    verdict = exercise.check(LocalSubmission(lambda logits, labels: 1.37), (0,))
    assert "did the optimizer stop too early?" in verdict.message


@pytest.mark.parametrize("seed", SEEDS)
def test_platts_line_is_that_of_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.calibration")
    scores, labels = platt_cases(seed)[1].args
    a, b = sklearn._sigmoid_calibration(scores.double().numpy(), labels.numpy())
    assert right_platt(scores, labels) == pytest.approx((-a, -b), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rising_curve_is_that_of_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.isotonic")
    for case in isotonic_cases(seed):
        scores, labels, points = (x.double() for x in case.args)
        theirs = sklearn.IsotonicRegression(out_of_bounds="clip").fit(scores.numpy(), labels.numpy()).predict(points.numpy())
        ours = right_isotonic(scores, labels)(points)
        assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-9), case.words


def test_fit_isotonic_must_return_a_function():
    exercise = checks.exercises("04_calibration")["fit_isotonic"]
    verdict = exercise.check(exercise.submission(lambda scores, labels: scores), (0,))
    assert "returns a function of points; yours returned a Tensor" in verdict.message


@pytest.mark.parametrize(("n", "alpha", "rank"), [(9, 0.1, 9), (8, 0.1, None), (19, 0.1, 18), (4, 0.4, 3), (1, 0.5, 1)])
def test_the_rank_of_a_promise(n, alpha, rank):
    scores = torch.arange(1, n + 1) / 32
    assert right_quantile(scores, alpha) == (math.inf if rank is None else rank / 32)
