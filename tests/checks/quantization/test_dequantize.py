"""`dequantize`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import dequantize
from tests.checks.exercise_tests import ExerciseTests


class TestDequantize(ExerciseTests):
    exercise = dequantize
    independent = staticmethod(quantization.dequantize)
