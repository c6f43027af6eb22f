"""`group_report`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import group_report
from tests.checks.exercise_tests import ExerciseTests


class TestGroupReport(ExerciseTests):
    exercise = group_report
    independent = staticmethod(clinic.group_report)
