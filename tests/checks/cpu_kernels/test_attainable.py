"""`attainable`: what every exercise must do, and an independent right answer."""

from fractions import Fraction

from posttrain_lab.checks.cpu_kernels import attainable
from tests.checks.exercise_tests import ExerciseTests


def attainable_by_the_clock(intensity, peak, bandwidth):
    """A second's worth of bytes, in exact fractions: how long do their operations take?"""
    operations = Fraction(intensity) * Fraction(bandwidth)
    return float(operations / max(Fraction(1), operations / Fraction(peak)))


class TestAttainable(ExerciseTests):
    exercise = attainable
    independent = staticmethod(attainable_by_the_clock)
