"""`int8_dot`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.cpu_kernels import int8_dot
from tests.checks.exercise_tests import ExerciseTests


class TestInt8Dot(ExerciseTests):
    exercise = int8_dot
    independent = staticmethod(lambda a, b: kernels.int8_matmul(a[None], b[:, None]).item())
