"""`simd_matmul`: what every exercise must do, and an independent right answer."""

from posttrain_lab import kernels
from posttrain_lab.checks.cpu_kernels import simd_matmul
from tests.checks.exercise_tests import ExerciseTests


def library_simd(x, panels, n, show="product"):
    """The library's own kernel; and its instructions in place of the listing that a notebook's kernel gives."""
    if show == "assembly":
        return "vpmaddwd"
    rows = panels.transpose(1, 2).flatten(0, 1).flatten(1)[:n, : x.shape[1]]
    return kernels.int8_matmul(x, rows.T)


class TestSimdMatmul(ExerciseTests):
    exercise = simd_matmul
    independent = staticmethod(library_simd)
