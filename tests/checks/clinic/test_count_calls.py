"""`count_calls`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import count_calls
from tests.checks.exercise_tests import ExerciseTests


class TestCountCalls(ExerciseTests):
    exercise = count_calls
    independent = staticmethod(clinic.count_calls)
