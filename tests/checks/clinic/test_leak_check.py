"""`leak_check`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import leak_check
from tests.checks.exercise_tests import ExerciseTests


class TestLeakCheck(ExerciseTests):
    exercise = leak_check
    independent = staticmethod(clinic.leak_check)
