"""`integrated_gradients`: what every exercise must do, and an independent right answer."""

from posttrain_lab import auditing
from posttrain_lab.checks.auditing import integrated_gradients
from tests.checks.exercise_tests import ExerciseTests


class TestIntegratedGradients(ExerciseTests):
    exercise = integrated_gradients
    independent = staticmethod(auditing.integrated_gradients)
