"""`mcnemar`: what every exercise must do, and an independent right answer."""

from posttrain_lab import comparisons
from posttrain_lab.checks.auditing import mcnemar
from tests.checks.exercise_tests import ExerciseTests


class TestMcnemar(ExerciseTests):
    exercise = mcnemar
    independent = staticmethod(comparisons.mcnemar)  # by the incomplete beta function
