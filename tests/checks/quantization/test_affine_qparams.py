"""`affine_qparams`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import affine_qparams
from tests.checks.exercise_tests import ExerciseTests


class TestAffineQparams(ExerciseTests):
    exercise = affine_qparams
    independent = staticmethod(quantization.affine_qparams)
