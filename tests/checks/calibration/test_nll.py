"""`nll`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import nll
from tests.checks.exercise_tests import ExerciseTests


class TestNll(ExerciseTests):
    exercise = nll
    independent = staticmethod(calibration.nll)
