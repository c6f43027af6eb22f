"""`row_quantize`: what every exercise must do, and an independent right answer."""

import math
from fractions import Fraction

import numpy as np
import torch

from posttrain_lab.checks.gpu_kernels import row_quantize
from tests.checks.exercise_tests import ExerciseTests


def rows_in_fractions(x):
    """Scales as float32 rounds them, codes in exact fractions."""
    scales = [np.float32(np.abs(row).max()) / np.float32(127) if np.any(row) else np.float32(1) for row in x.numpy()]
    half = Fraction(1, 2)
    codes = [
        [math.floor(Fraction(number) / Fraction(float(scale)) + half) for number in row.tolist()]
        for row, scale in zip(x, scales, strict=True)
    ]
    return torch.tensor(codes, dtype=torch.int8).reshape(x.shape), torch.tensor(np.array(scales))


class TestRowQuantize(ExerciseTests):
    exercise = row_quantize
    independent = staticmethod(rows_in_fractions)
