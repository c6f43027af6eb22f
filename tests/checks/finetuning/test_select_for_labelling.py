"""`select_for_labelling`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import select_for_labelling
from tests.checks.exercise_tests import ExerciseTests


class TestSelectForLabelling(ExerciseTests):
    exercise = select_for_labelling
    independent = staticmethod(finetuning.select_for_labelling)
