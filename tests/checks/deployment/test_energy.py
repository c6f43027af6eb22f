"""`energy`: what every exercise must do, and an independent right answer: the library's."""

from posttrain_lab.checks.deployment import energy
from posttrain_lab.deployment import budget
from tests.checks.exercise_tests import ExerciseTests


class TestEnergy(ExerciseTests):
    exercise = energy
    independent = staticmethod(budget.energy)
