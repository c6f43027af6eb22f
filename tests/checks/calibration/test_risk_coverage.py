"""`risk_coverage`: what every exercise must do, and an independent right answer."""

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import risk_coverage
from tests.checks.exercise_tests import ExerciseTests


class TestRiskCoverage(ExerciseTests):
    exercise = risk_coverage
    independent = staticmethod(calibration.risk_coverage)
