"""`channel_qparams`: what every exercise must do, and an independent right answer."""

from posttrain_lab import quantization
from posttrain_lab.checks.quantization import channel_qparams
from tests.checks.exercise_tests import ExerciseTests


class TestChannelQparams(ExerciseTests):
    exercise = channel_qparams
    independent = staticmethod(quantization.channel_qparams)
