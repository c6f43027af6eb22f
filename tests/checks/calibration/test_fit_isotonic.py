"""`fit_isotonic`: what every exercise must do, an independent right answer, and the promises of its docstring."""

import pytest
import torch

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import fit_isotonic
from posttrain_lab.checks.calibration.fit_isotonic import isotonic_cases
from posttrain_lab.checks.calibration.fit_isotonic_oracle import right_isotonic
from tests.checks.exercise_tests import ExerciseTests


class TestFitIsotonic(ExerciseTests):
    exercise = fit_isotonic
    independent = staticmethod(calibration.fit_isotonic)


@pytest.mark.parametrize("seed", range(6))
def test_the_rising_curve_is_that_of_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.isotonic")
    for case in isotonic_cases(seed):
        scores, labels, points = (x.double() for x in case.args)
        theirs = sklearn.IsotonicRegression(out_of_bounds="clip").fit(scores.numpy(), labels.numpy()).predict(points.numpy())
        ours = right_isotonic(scores, labels)(points)
        assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-9), case.words


def test_fit_isotonic_must_return_a_function():
    verdict = fit_isotonic.check(fit_isotonic.submission(lambda scores, labels: scores), (0,))
    assert "returns a function of points; yours returned a Tensor" in verdict.message


def test_a_curve_that_a_later_fit_changes_is_refused():
    last = {}

    def fit(scores, labels):
        last["curve"] = calibration.fit_isotonic(scores, labels)
        return lambda points: last["curve"](points).double()

    verdict = fit_isotonic.check(fit_isotonic.submission(fit, trusted=True), (0,))
    assert "your curve gives other values when it is called again, after another fit" in verdict.message
