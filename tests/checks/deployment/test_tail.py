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

    def test_an_index_beyond_the_end_is_explained(self):
        def without_subtracting(times, warmup):
            rest = sorted(times[warmup:])
            return times[0], rest[-(-50 * len(rest) // 100)], rest[-(-99 * len(rest) // 100)]

        assert self.checked(without_subtracting, (0,)).mistake == "rank in place of its index"
