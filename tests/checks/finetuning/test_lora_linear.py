"""`LoRALinear`: what every exercise must do, and an independent right answer."""

from torch import nn

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import LoRALinear
from tests.checks.exercise_tests import ExerciseTests


class LibraryLayer(finetuning.LoRALinear):
    """The library's, with the inner layer under the name that the exercise asks for."""

    def __init__(self, linear, rank, alpha):
        super().__init__(linear, rank, alpha)
        self._modules["linear"] = self._modules.pop("base")

    @property
    def base(self) -> nn.Module:
        return self.linear


class TestLoRALinear(ExerciseTests):
    exercise = LoRALinear
    independent = staticmethod(LibraryLayer)
