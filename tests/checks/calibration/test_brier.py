"""`brier`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import brier
from tests.checks.exercise_tests import ExerciseTests


class TestBrier(ExerciseTests):
    exercise = brier
    independent = staticmethod(calibration.brier)
