"""`double_is_exact`: what every exercise must do, an independent right answer, and a search for counterexamples."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from posttrain_lab.checks.deployment import double_is_exact
from posttrain_lab.checks.deployment.double_is_exact import right_double_is_exact
from tests.checks.exercise_tests import ExerciseTests


def by_the_farthest_images(weight, bias, multiplier, shift):
    """The two images of codes -128 and 128 whose sums lie farthest out, in exact fractions of 2^shift."""
    w = weight.to(torch.int64)
    signs = w.sign()
    high, low = (128 * signs * w).sum(1) + bias, (-128 * signs * w).sum(1) + bias
    found = []
    for top, bottom, m, s in zip(high.tolist(), low.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        farthest = Fraction(max(abs(top), abs(bottom)) * m, 2**s)
        found.append(s < 44 or farthest + Fraction(1, 2) <= Fraction(2**53, 2**s))
    return torch.tensor(found)


def in_doubles(one: int, m: int, s: int) -> int:
    return min(127, max(-128, math.floor(float(one) * (m / 2.0**s) + 0.5)))


def in_integers(one: int, m: int, s: int) -> int:
    return min(127, max(-128, (one * m + (1 << (s - 1))) >> s))


class TestDoubleIsExact(ExerciseTests):
    exercise = double_is_exact
    independent = staticmethod(by_the_farthest_images)


@pytest.mark.parametrize("shift", [40, 43, 44, 46])
def test_no_counterexample_where_it_says_exact(shift):
    """The sums whose products lie nearest to ties, up to the reach."""
    m = 2**31 - 1
    reach = 2**29 if shift <= 43 else (2**53 - 2 ** (shift - 1)) // m
    layer = torch.zeros(1, 1, dtype=torch.int8), torch.tensor([reach]), torch.tensor([m]), torch.tensor([shift])
    assert right_double_is_exact(*layer).item()
    ties = [(2 * k + 1) * 2 ** (shift - 1) // m for k in range(-130, 130)]
    sums = [one + d for one in ties for d in (-1, 0, 1) if abs(one + d) <= reach]
    assert [in_doubles(one, m, shift) for one in sums] == [in_integers(one, m, shift) for one in sums]
    assert len(sums) > 10


def test_there_are_counterexamples_where_it_says_no():
    """Sums whose products, of 60 bits, lie less than 128 below a tie: a double rounds them to the tie."""
    shift, sums = 56, np.arange(2**29, 2**29 + 2**20)
    wrong = []
    for code in range(10, 29):
        below = (2 * code + 1) * 2 ** (shift - 1) % sums
        wrong += [(int(one), (2 * code + 1) * 2 ** (shift - 1) // int(one)) for one in sums[(below > 0) & (below < 120)]]
    pairs = [(one, m) for one, m in wrong if 2**30 <= m < 2**31 and in_doubles(one, m, shift) != in_integers(one, m, shift)]
    assert pairs
    for one, m in pairs:
        assert abs(one * m) > 2**53
        layer = torch.zeros(1, 1, dtype=torch.int8), torch.tensor([one]), torch.tensor([m]), torch.tensor([shift])
        assert not right_double_is_exact(*layer).item()
