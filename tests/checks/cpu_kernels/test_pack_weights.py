"""`pack_weights`: what every exercise must do, and an independent right answer."""

from posttrain_lab.checks.cpu_kernels import pack_weights
from posttrain_lab.kernels.panel_layout import to_panels
from tests.checks.exercise_tests import ExerciseTests


class TestPackWeights(ExerciseTests):
    exercise = pack_weights
    independent = staticmethod(lambda w: to_panels(w, 2))
