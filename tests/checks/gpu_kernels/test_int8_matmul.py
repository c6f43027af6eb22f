"""`int8_matmul`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.gpu_kernels import int8_matmul
from tests.checks.exercise_tests import ExerciseTests


class TestInt8Matmul(ExerciseTests):
    exercise = int8_matmul
    independent = staticmethod(lambda x, w, **tiles: kernels.int8_matmul(x, w.T))
