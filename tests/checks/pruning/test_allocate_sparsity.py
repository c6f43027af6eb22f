"""`allocate_sparsity`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import allocate_sparsity
from tests.checks.exercise_tests import ExerciseTests


class TestAllocateSparsity(ExerciseTests):
    exercise = allocate_sparsity
    independent = staticmethod(pruning.allocate_sparsity)
