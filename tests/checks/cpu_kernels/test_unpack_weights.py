"""`unpack_weights`: what every exercise must do, and an independent right answer."""

from posttrain_lab.checks.cpu_kernels import unpack_weights
from posttrain_lab.kernels.panel_layout import from_panels
from tests.checks.exercise_tests import ExerciseTests


class TestUnpackWeights(ExerciseTests):
    exercise = unpack_weights
    independent = staticmethod(lambda panels, n, k: from_panels(panels, n, k))
