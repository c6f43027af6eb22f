"""`multiply_shift`: what every exercise must do, an independent right answer, and the eye on numbers above 2^53."""

from fractions import Fraction
from math import floor

import numpy as np
import torch

from posttrain_lab.checks.deployment import multiply_shift
from tests.checks.exercise_tests import ExerciseTests


def by_fractions(sums, multiplier, shift):
    found = torch.zeros(sums.shape, dtype=torch.int64)
    for row in range(sums.shape[0]):
        for channel in range(sums.shape[1]):
            exact = Fraction(int(sums[row, channel]) * int(multiplier[channel]), 2 ** int(shift[channel]))
            found[row, channel] = floor(exact + Fraction(1, 2))
    return found


def at_once(sums, multiplier, shift):
    """Right, with products of 61 bits."""
    shift = shift.long()
    return (sums.long() * multiplier.long() + (torch.ones_like(shift) << (shift - 1))) >> shift


def at_once_in_numpy(sums, multiplier, shift):
    s, m, t = (one.numpy().astype(np.int64) for one in (sums, multiplier, shift))
    return torch.from_numpy((s * m + (1 << (t - 1))) >> t)


class TestMultiplyShift(ExerciseTests):
    exercise = multiply_shift
    independent = staticmethod(by_fractions)

    def test_a_product_above_two_to_the_53_is_told_of_a_right_answer(self):
        for answer in (at_once, at_once_in_numpy):
            verdict = self.exercise.check(self.exercise.submission(answer), (0,))
            assert not verdict.passed
            assert "a number above 2^53" in verdict.message

    def test_of_a_wrong_answer_the_mistake_is_told_first(self):
        verdict = self.exercise.check(self.exercise.submission(lambda *args: at_once(*args) + 1), (0,))
        assert "2^53" not in verdict.message
        without = self.exercise.check(self.exercise.submission(lambda s, m, t: s.long() * m.long() >> t.long()), (0,))
        assert without.mistake == "no half"
