"""`fused_linear`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.gpu_kernels import fused_linear
from tests.checks.exercise_tests import ExerciseTests


def library_fused(xq, wq, x_scale, w_scale, bias, relu=False, **tiles):
    """The library's exact product, finished in float64."""
    y = kernels.int8_matmul(xq, wq.T).double() * x_scale[:, None].double() * w_scale.double() + bias.double()
    return (y.relu() if relu else y).float()


class TestFusedLinear(ExerciseTests):
    exercise = fused_linear
    independent = staticmethod(library_fused)
