"""`to_csr`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import to_csr
from tests.checks.exercise_tests import ExerciseTests


class TestToCsr(ExerciseTests):
    exercise = to_csr
    independent = staticmethod(pruning.to_csr)
