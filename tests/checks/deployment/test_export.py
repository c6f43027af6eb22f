"""`export`: what every exercise must do, and an independent right answer: the library's, which exports a copy."""

from posttrain_lab.checks.deployment import export
from posttrain_lab.deployment import exported
from tests.checks.exercise_tests import ExerciseTests


class TestExport(ExerciseTests):
    exercise = export
    independent = staticmethod(exported.export)
