"""`channels_last`: what every exercise must do, and an independent right answer."""

import torch
from torch.nn import functional as F

from posttrain_lab.checks.deployment import channels_last
from tests.checks.exercise_tests import ExerciseTests


def by_asking_convolutions(weight):
    """Convolve an image whose only pixel is a 1, for every place and channel: the sum is the weight there."""
    out, c, kh, kw = weight.shape
    spots = torch.eye(c * kh * kw, dtype=torch.float64).reshape(kh, kw, c, kh, kw, c).permute(0, 1, 2, 5, 3, 4)
    sums = F.conv2d(spots.reshape(-1, c, kh, kw), weight.double())
    return sums.reshape(-1, out).T.contiguous().to(weight.dtype)


class TestChannelsLast(ExerciseTests):
    exercise = channels_last
    independent = staticmethod(by_asking_convolutions)
