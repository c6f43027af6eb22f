"""`to_csr`: what every exercise must do, and an independent right answer."""

import scipy.sparse
import torch

from posttrain_lab.checks.pruning import to_csr
from tests.checks.exercise_tests import ExerciseTests


def by_scipy(weight):
    """(The library's function refuses NaN, which is another way not to lose it.)"""
    sparse = scipy.sparse.csr_matrix(weight.numpy())
    return tuple(torch.from_numpy(array.copy()) for array in (sparse.data, sparse.indices, sparse.indptr))


class TestToCsr(ExerciseTests):
    exercise = to_csr
    independent = staticmethod(by_scipy)
