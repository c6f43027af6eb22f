"""`expected_cost`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import expected_cost
from tests.checks.exercise_tests import ExerciseTests


class TestExpectedCost(ExerciseTests):
    exercise = expected_cost
    independent = staticmethod(calibration.expected_cost)
