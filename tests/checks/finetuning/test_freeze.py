"""`freeze`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import freeze
from tests.checks.exercise_tests import ExerciseTests


class TestFreeze(ExerciseTests):
    exercise = freeze
    independent = staticmethod(finetuning.freeze)
