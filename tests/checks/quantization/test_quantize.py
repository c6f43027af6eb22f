"""`quantize`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import quantize
from tests.checks.exercise_tests import ExerciseTests


class TestQuantize(ExerciseTests):
    exercise = quantize
    independent = staticmethod(quantization.quantize)
