"""`bayes_threshold`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import bayes_threshold
from tests.checks.exercise_tests import ExerciseTests


class TestBayesThreshold(ExerciseTests):
    exercise = bayes_threshold
    independent = staticmethod(calibration.bayes_threshold)
