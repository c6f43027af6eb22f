"""`costs`: what every exercise must do, and an independent right answer: the library's."""

from posttrain_lab.checks.edge import costs
from posttrain_lab.projects import edge
from tests.checks.exercise_tests import ExerciseTests


class TestCosts(ExerciseTests):
    exercise = costs
    independent = staticmethod(lambda layers: tuple(edge.costs(layers)))
