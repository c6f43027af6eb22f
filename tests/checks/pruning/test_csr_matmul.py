"""`csr_matmul`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import csr_matmul
from tests.checks.exercise_tests import ExerciseTests


class TestCsrMatmul(ExerciseTests):
    exercise = csr_matmul
    independent = staticmethod(pruning.csr_matmul)
