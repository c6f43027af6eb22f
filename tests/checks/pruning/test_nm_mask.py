"""`nm_mask`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import nm_mask
from tests.checks.exercise_tests import ExerciseTests


class TestNmMask(ExerciseTests):
    exercise = nm_mask
    independent = staticmethod(pruning.nm_mask)
