"""`pgd`: what every exercise must do, and an independent right answer."""

from posttrain_lab import auditing
from posttrain_lab.checks.auditing import pgd
from tests.checks.exercise_tests import ExerciseTests


class TestPgd(ExerciseTests):
    exercise = pgd
    independent = staticmethod(auditing.pgd)
