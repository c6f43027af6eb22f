"""`latency`: what every exercise must do, and an independent right answer."""

from posttrain_lab import measure
from posttrain_lab.checks.start_here import latency
from tests.checks.exercise_tests import ExerciseTests


class TestLatency(ExerciseTests):
    exercise = latency
    independent = staticmethod(measure.latency)
