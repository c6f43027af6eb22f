"""`parameter_groups`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import parameter_groups
from tests.checks.exercise_tests import ExerciseTests


class TestParameterGroups(ExerciseTests):
    exercise = parameter_groups
    independent = staticmethod(finetuning.parameter_groups)
