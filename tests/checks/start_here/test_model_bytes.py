"""`model_bytes`: what every exercise must do, and an independent right answer."""

from posttrain_lab import metrics
from posttrain_lab.checks.start_here import model_bytes
from tests.checks.exercise_tests import ExerciseTests


class TestModelBytes(ExerciseTests):
    exercise = model_bytes
    independent = staticmethod(metrics.model_bytes)
