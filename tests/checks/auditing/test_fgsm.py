"""`fgsm`: what every exercise must do, and an independent right answer."""

from posttrain_lab import auditing
from posttrain_lab.checks.auditing import fgsm
from tests.checks.exercise_tests import ExerciseTests


class TestFgsm(ExerciseTests):
    exercise = fgsm
    independent = staticmethod(auditing.fgsm)
