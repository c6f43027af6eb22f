"""`fake_quantize`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import fake_quantize
from tests.checks.exercise_tests import ExerciseTests


class TestFakeQuantize(ExerciseTests):
    exercise = fake_quantize
    independent = staticmethod(quantization.FakeQuantize.apply)
