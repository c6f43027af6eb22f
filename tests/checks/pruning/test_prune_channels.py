"""`prune_channels`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import prune_channels
from tests.checks.exercise_tests import ExerciseTests


class TestPruneChannels(ExerciseTests):
    exercise = prune_channels
    independent = staticmethod(pruning.prune_channels)
