"""`pool_first`: what every exercise must do, an independent right answer, and that the rescalings are counted."""

import torch
from torch.nn import functional as F

from posttrain_lab.checks.deployment import pool_first
from posttrain_lab.checks.deployment.pool_first import right_pool
from tests.checks.exercise_tests import ExerciseTests


def in_whole_numbers(sums, bias, multiplier, shift, size):
    """torch's max pooling of exact doubles, and Python's integers."""
    best = F.max_pool2d(sums.permute(2, 0, 1).double(), size).permute(1, 2, 0).long()
    codes = torch.empty(best.shape, dtype=torch.int8)
    for place in torch.cartesian_prod(*map(torch.arange, best.shape)).reshape(-1, 3).tolist():
        i, j, o = place
        code = (2 * (int(best[i, j, o]) + int(bias[o])) * int(multiplier[o]) // 2 ** int(shift[o]) + 1) // 2
        codes[i, j, o] = max(-128, min(127, code))
    return codes


class TestPoolFirst(ExerciseTests):
    exercise = pool_first
    independent = staticmethod(in_whole_numbers)

    def test_who_rescales_every_sum_is_told(self):
        def all_of_them(sums, bias, multiplier, shift, size):
            codes = right_pool(sums, bias, multiplier, shift, 1)
            return (
                codes[: len(sums) // size * size, : sums.shape[1] // size * size]
                .unfold(0, size, size)
                .unfold(1, size, size)
                .amax((3, 4))
            )

        verdict = self.checked(all_of_them, (0,))
        assert not verdict.passed
        assert "rescales 72 sums for 18 codes" in verdict.message
