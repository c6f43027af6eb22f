"""`expected_calibration_error`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import expected_calibration_error
from tests.checks.exercise_tests import ExerciseTests


class TestExpectedCalibrationError(ExerciseTests):
    exercise = expected_calibration_error
    independent = staticmethod(calibration.expected_calibration_error)
