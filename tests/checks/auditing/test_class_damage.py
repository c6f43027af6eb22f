"""`class_damage`: what every exercise must do, and an independent right answer."""

import torch

from posttrain_lab.checks.auditing import class_damage
from tests.checks.exercise_tests import ExerciseTests


def model_by_model(dense, compressed, labels, classes):
    """The recall of each model and class by itself; a mean of nothing is NaN."""
    found = []
    for part in (dense, compressed):
        recall = torch.stack([torch.stack([(row[labels == c] == c).double().mean() for c in range(classes)]) for row in part])
        accuracy = torch.stack([(row == labels).double().mean() for row in part])
        found.append((recall - accuracy[:, None]).mean(0))
    return found[1] - found[0]


class TestClassDamage(ExerciseTests):
    exercise = class_damage
    independent = staticmethod(model_by_model)
