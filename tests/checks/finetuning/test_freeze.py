"""`freeze`: what every exercise must do, and an independent right answer."""

from torch import nn

from posttrain_lab import finetuning
from posttrain_lab.checks.finetuning import freeze
from tests.checks.exercise_tests import ExerciseTests


def library_freeze(model: nn.Module, trainable: list[str]) -> int:
    """The library's, without its guard against a later train(): the exercise leaves the attributes of layers as they are."""
    count = finetuning.freeze(model, trainable)
    for module in model.modules():
        vars(module).pop("train", None)
    return count


class TestFreeze(ExerciseTests):
    exercise = freeze
    independent = staticmethod(library_freeze)
