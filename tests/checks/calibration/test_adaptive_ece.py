"""`adaptive_ece`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import adaptive_ece
from tests.checks.exercise_tests import ExerciseTests


class TestAdaptiveEce(ExerciseTests):
    exercise = adaptive_ece
    independent = staticmethod(calibration.adaptive_ece)
