"""`prepare`: what every exercise must do, and an independent right answer: the library's."""

from posttrain_lab.checks.deployment import prepare
from posttrain_lab.deployment import preprocess
from tests.checks.exercise_tests import ExerciseTests


class TestPrepare(ExerciseTests):
    exercise = prepare
    independent = staticmethod(preprocess.prepare)
