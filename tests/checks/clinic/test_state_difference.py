"""`state_difference`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import state_difference
from tests.checks.exercise_tests import ExerciseTests


class TestStateDifference(ExerciseTests):
    exercise = state_difference
    independent = staticmethod(clinic.state_difference)
