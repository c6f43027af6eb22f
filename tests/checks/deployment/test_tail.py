"""`tail`: what every exercise must do, and an independent right answer: numpy's inverted distribution function."""

import numpy as np

from posttrain_lab.checks.deployment import tail
from tests.checks.exercise_tests import ExerciseTests


def by_numpy(times, warmup):
    p50, p99 = np.percentile(times[warmup:], [50, 99], method="inverted_cdf").tolist()
    return times[0], p50, p99


class TestTail(ExerciseTests):
    exercise = tail
    independent = staticmethod(by_numpy)
