"""`brier`: what every exercise must do, and an independent right answer."""

import torch

from posttrain_lab.checks.calibration import brier
from tests.checks.exercise_tests import ExerciseTests


class TestBrier(ExerciseTests):
    exercise = brier

    @staticmethod
    def independent(probabilities, labels):  # the library's own refuses rows that do not add up to 1
        gaps = probabilities.clone()
        gaps[torch.arange(len(labels)), labels] -= 1
        return torch.linalg.vecdot(gaps.double(), gaps.double()).mean().item()
