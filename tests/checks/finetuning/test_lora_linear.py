"""`LoRALinear`: what every exercise must do, and an independent right answer."""

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import LoRALinear
from tests.checks.exercise_tests import ExerciseTests


class TestLoRALinear(ExerciseTests):
    exercise = LoRALinear
    independent = staticmethod(finetuning.LoRALinear)
