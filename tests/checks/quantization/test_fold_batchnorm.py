"""`fold_batchnorm`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import fold_batchnorm
from tests.checks.exercise_tests import ExerciseTests


class TestFoldBatchnorm(ExerciseTests):
    exercise = fold_batchnorm
    independent = staticmethod(quantization.fold_batchnorm)
