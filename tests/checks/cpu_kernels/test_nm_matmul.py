"""`nm_matmul`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.cpu_kernels import nm_matmul
from tests.checks.exercise_tests import ExerciseTests


class TestNmMatmul(ExerciseTests):
    exercise = nm_matmul
    independent = staticmethod(lambda values, positions, x: kernels.nm_linear(x.T, kernels.NMWeight(values, positions)).T)
