"""`company`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import company
from tests.checks.exercise_tests import ExerciseTests


class TestCompany(ExerciseTests):
    exercise = company
    independent = staticmethod(clinic.company)
