"""`recover`: what every exercise must do, and an independent right answer."""

import copy
import dataclasses

from posttrain_lab import training
from posttrain_lab.checks.finetuning import recover
from posttrain_lab.finetuning.recover import RECOVERY, masking
from tests.checks.exercise_tests import ExerciseTests


def library_loop(model, masks, split, epochs):
    """The library's loop and masks, without its choice of the best epoch on the validation images."""
    if not epochs:
        return copy.deepcopy(model).eval()
    config = dataclasses.replace(RECOVERY, epochs=epochs)
    images, labels = split.train.images, split.train.labels
    return training.train(copy.deepcopy(model), images, labels, config, after_step=masking(masks))[0].eval()


class TestRecover(ExerciseTests):
    exercise = recover
    independent = staticmethod(library_loop)
