"""`wilson_interval`: what every exercise must do, and an independent right answer."""

from posttrain_lab import metrics
from posttrain_lab.checks.start_here import wilson_interval
from tests.checks.exercise_tests import ExerciseTests


class TestWilsonInterval(ExerciseTests):
    exercise = wilson_interval
    independent = staticmethod(metrics.wilson_interval)
