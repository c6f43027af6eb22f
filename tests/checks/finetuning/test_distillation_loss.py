"""`distillation_loss`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import distillation_loss
from tests.checks.exercise_tests import ExerciseTests


class TestDistillationLoss(ExerciseTests):
    exercise = distillation_loss
    independent = staticmethod(finetuning.distillation_loss)
