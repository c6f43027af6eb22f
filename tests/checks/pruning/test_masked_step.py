"""`masked_step`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import masked_step
from tests.checks.exercise_tests import ExerciseTests


class TestMaskedStep(ExerciseTests):
    exercise = masked_step
    independent = staticmethod(pruning.masked_step)
