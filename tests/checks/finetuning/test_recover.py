"""`recover`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import recover
from tests.checks.exercise_tests import ExerciseTests


class TestRecover(ExerciseTests):
    exercise = recover
    independent = staticmethod(finetuning.recover)
