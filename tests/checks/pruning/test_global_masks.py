"""`global_masks`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import global_masks
from tests.checks.exercise_tests import ExerciseTests


class TestGlobalMasks(ExerciseTests):
    exercise = global_masks
    independent = staticmethod(pruning.global_masks)
