"""`accuracy`: what every exercise must do, and an independent right answer."""

from posttrain_lab import metrics
from posttrain_lab.checks.start_here import accuracy
from tests.checks.exercise_tests import ExerciseTests


class TestAccuracy(ExerciseTests):
    exercise = accuracy
    independent = staticmethod(metrics.accuracy)
