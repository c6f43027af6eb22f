"""`certified_radius`: what every exercise must do, and an independent right answer."""

import pytest

from posttrain_lab.checks.auditing import certified_radius
from tests.checks.exercise_tests import ExerciseTests

stats = pytest.importorskip("scipy.stats")


def by_scipy(top_count, n, sigma, alpha):
    bound = stats.beta.ppf(alpha, top_count, n - top_count + 1) if top_count else 0.0
    return float(sigma * stats.norm.ppf(bound)) if bound > 0.5 else 0.0


class TestCertifiedRadius(ExerciseTests):
    exercise = certified_radius
    independent = staticmethod(by_scipy)
