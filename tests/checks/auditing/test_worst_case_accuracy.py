"""`worst_case_accuracy`: what every exercise must do, and an independent right answer."""

from posttrain_lab import auditing
from posttrain_lab.checks.auditing import worst_case_accuracy
from tests.checks.exercise_tests import ExerciseTests


class TestWorstCaseAccuracy(ExerciseTests):
    exercise = worst_case_accuracy
    independent = staticmethod(auditing.worst_case_accuracy)
