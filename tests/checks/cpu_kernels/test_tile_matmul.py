"""`tile_matmul`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.cpu_kernels import tile_matmul
from tests.checks.exercise_tests import ExerciseTests


class TestTileMatmul(ExerciseTests):
    exercise = tile_matmul
    independent = staticmethod(lambda a, b, tile: kernels.int8_matmul(a, b))
