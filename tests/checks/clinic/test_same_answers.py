"""`same_answers`: what every exercise must do; the library's function is the independent right answer."""

from posttrain_lab import clinic
from posttrain_lab.checks.clinic import same_answers
from tests.checks.exercise_tests import ExerciseTests


class TestSameAnswers(ExerciseTests):
    exercise = same_answers
    independent = staticmethod(clinic.same_answers)
