"""`emit_dense`: what every exercise must do, and an independent right answer: the library's own text."""

from posttrain_lab.checks.deployment import emit_dense
from posttrain_lab.deployment import c99
from tests.checks.exercise_tests import ExerciseTests


class TestEmitDense(ExerciseTests):
    exercise = emit_dense
    independent = staticmethod(c99.emit_dense)
