"""`rank_agreement`: what every exercise must do, and an independent right answer."""

import warnings

import pytest

from posttrain_lab.checks.auditing import rank_agreement
from tests.checks.exercise_tests import ExerciseTests

stats = pytest.importorskip("scipy.stats")


def by_scipy(a, b):
    if a.numel() < 2:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a constant map
        return float(stats.spearmanr(a.flatten().numpy(), b.flatten().numpy()).statistic)


class TestRankAgreement(ExerciseTests):
    exercise = rank_agreement
    independent = staticmethod(by_scipy)
