"""`prediction_sets`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import prediction_sets
from tests.checks.exercise_tests import ExerciseTests


class TestPredictionSets(ExerciseTests):
    exercise = prediction_sets
    independent = staticmethod(calibration.prediction_sets)
