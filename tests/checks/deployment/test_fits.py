"""`fits`: what every exercise must do, and an independent right answer: the library's."""

from posttrain_lab.checks.deployment import fits
from posttrain_lab.deployment import budget
from tests.checks.exercise_tests import ExerciseTests


class TestFits(ExerciseTests):
    exercise = fits
    independent = staticmethod(budget.fits)
