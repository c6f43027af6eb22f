"""`magnitude_mask`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import magnitude_mask
from tests.checks.exercise_tests import ExerciseTests


class TestMagnitudeMask(ExerciseTests):
    exercise = magnitude_mask
    independent = staticmethod(pruning.magnitude_mask)
