"""`wanda_scores`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import wanda_scores
from tests.checks.exercise_tests import ExerciseTests


class TestWandaScores(ExerciseTests):
    exercise = wanda_scores
    independent = staticmethod(pruning.wanda_scores)
