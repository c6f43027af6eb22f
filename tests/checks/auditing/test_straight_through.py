"""`straight_through`: what every exercise must do, and an independent right answer."""

from posttrain_lab import auditing
from posttrain_lab.checks.auditing import straight_through
from tests.checks.exercise_tests import ExerciseTests


class TestStraightThrough(ExerciseTests):
    exercise = straight_through
    independent = staticmethod(auditing.straight_through)
