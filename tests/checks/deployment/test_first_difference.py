"""`first_difference`: what every exercise must do, and an independent right answer."""

import numpy as np

from posttrain_lab.checks.deployment import first_difference
from tests.checks.exercise_tests import ExerciseTests


def in_numpy(ours, theirs):
    """Image by image, in arrays of one row an image."""
    for name in ours:
        a, b = (np.array(side[name].tolist()).reshape(len(side[name]), -1) for side in (ours, theirs))
        unequal = np.logical_not(np.equal(a, b))
        if unequal.any():
            return name, float(unequal.mean()), int(np.flatnonzero(unequal.any(1))[0])
    return None


class TestFirstDifference(ExerciseTests):
    exercise = first_difference
    independent = staticmethod(in_numpy)
