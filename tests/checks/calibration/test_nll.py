"""`nll`: what every exercise must do, and an independent right answer."""

from torch.nn.functional import cross_entropy

from posttrain_lab.checks.calibration import nll
from tests.checks.exercise_tests import ExerciseTests


class TestNll(ExerciseTests):
    exercise = nll

    @staticmethod
    def independent(logits, labels):  # the library's own refuses infinite logits
        return cross_entropy(logits.double(), labels).item()
