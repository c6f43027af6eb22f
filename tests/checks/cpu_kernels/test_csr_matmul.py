"""`csr_matmul`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.cpu_kernels import csr_matmul
from tests.checks.exercise_tests import ExerciseTests


class TestCsrMatmul(ExerciseTests):
    exercise = csr_matmul
    independent = staticmethod(
        lambda values, columns, pointers, x: (
            kernels.sparse_linear(x.T, kernels.SparseWeight.from_csr(values, columns, pointers, len(x))).T
        )
    )
