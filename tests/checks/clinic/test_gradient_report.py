"""`gradient_report`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import gradient_report
from tests.checks.exercise_tests import ExerciseTests


class TestGradientReport(ExerciseTests):
    exercise = gradient_report
    independent = staticmethod(clinic.gradient_report)
