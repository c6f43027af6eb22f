"""`int8_linear`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import int8_linear
from tests.checks.exercise_tests import ExerciseTests


class TestInt8Linear(ExerciseTests):
    exercise = int8_linear
    independent = staticmethod(quantization.int8_linear)
