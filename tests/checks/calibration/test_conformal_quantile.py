"""`conformal_quantile`: what every exercise must do, an independent right answer, and the promises of its docstring."""

import math

import pytest
import torch

from posttrain_lab import calibration
from posttrain_lab.checks.calibration import conformal_quantile
from posttrain_lab.checks.calibration.conformal_quantile import right_quantile
from tests.checks.exercise_tests import ExerciseTests


class TestConformalQuantile(ExerciseTests):
    exercise = conformal_quantile
    independent = staticmethod(calibration.conformal_quantile)


@pytest.mark.parametrize(("n", "alpha", "rank"), [(9, 0.1, 9), (8, 0.1, None), (19, 0.1, 18), (4, 0.4, 3), (1, 0.5, 1)])
def test_the_rank_of_a_promise(n, alpha, rank):
    scores = torch.arange(1, n + 1) / 32
    assert right_quantile(scores, alpha) == (math.inf if rank is None else rank / 32)
