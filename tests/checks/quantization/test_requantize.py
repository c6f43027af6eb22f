"""`requantize`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import requantize
from tests.checks.exercise_tests import ExerciseTests


class TestRequantize(ExerciseTests):
    exercise = requantize
    independent = staticmethod(quantization.requantize)
