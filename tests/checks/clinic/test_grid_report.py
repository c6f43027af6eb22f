"""`grid_report`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import grid_report
from tests.checks.exercise_tests import ExerciseTests


class TestGridReport(ExerciseTests):
    exercise = grid_report
    independent = staticmethod(clinic.grid_report)
