"""`sensitivity_scan`: what every exercise must do, and an independent right answer."""

from posttrain_lab import pruning
from posttrain_lab.checks.pruning import sensitivity_scan
from tests.checks.exercise_tests import ExerciseTests


class TestSensitivityScan(ExerciseTests):
    exercise = sensitivity_scan
    independent = staticmethod(pruning.sensitivity_scan)
