"""`optimal_rounding`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import optimal_rounding
from tests.checks.exercise_tests import ExerciseTests


class TestOptimalRounding(ExerciseTests):
    exercise = optimal_rounding
    independent = staticmethod(quantization.optimal_rounding)
