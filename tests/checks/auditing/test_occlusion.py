"""`occlusion`: what every exercise must do, and an independent right answer."""

from posttrain_lab import auditing
from posttrain_lab.checks.auditing import occlusion
from tests.checks.exercise_tests import ExerciseTests


class TestOcclusion(ExerciseTests):
    exercise = occlusion
    independent = staticmethod(auditing.occlusion)
