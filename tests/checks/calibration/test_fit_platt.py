"""`fit_platt`: what every exercise must do, an independent right answer, and the promises of its docstring."""

import pytest

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import fit_platt
from posttrain_lab.checks.calibration.fit_platt import platt_cases, right_platt
from tests.checks.exercise_tests import ExerciseTests


class TestFitPlatt(ExerciseTests):
    exercise = fit_platt
    independent = staticmethod(calibration.fit_platt)


@pytest.mark.parametrize("seed", range(6))
def test_platts_line_is_that_of_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.calibration")
    scores, labels = platt_cases(seed)[1].args
    a, b = sklearn._sigmoid_calibration(scores.double().numpy(), labels.numpy())
    assert right_platt(scores, labels) == pytest.approx((-a, -b), rel=1e-3, abs=1e-3)
