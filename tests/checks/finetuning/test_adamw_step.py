"""`adamw_step`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import adamw_step
from tests.checks.exercise_tests import ExerciseTests


class TestAdamwStep(ExerciseTests):
    exercise = adamw_step
    independent = staticmethod(finetuning.adamw_step)
