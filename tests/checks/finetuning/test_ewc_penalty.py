"""`ewc_penalty`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import ewc_penalty
from tests.checks.exercise_tests import ExerciseTests


class TestEwcPenalty(ExerciseTests):
    exercise = ewc_penalty
    independent = staticmethod(finetuning.ewc_penalty)
