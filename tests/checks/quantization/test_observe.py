"""`observe`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import observe
from tests.checks.exercise_tests import ExerciseTests


class TestObserve(ExerciseTests):
    exercise = observe
    independent = staticmethod(quantization.observe)
