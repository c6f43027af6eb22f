"""`unpack_int4`: what every exercise must do, and an independent right answer."""

import torch

from posttrain_lab.checks.cpu_kernels import unpack_int4
from posttrain_lab.quantization.packing import unpack_codes
from tests.checks.exercise_tests import ExerciseTests


def library_unpack4(packed, k):
    rows = [unpack_codes(row.contiguous(), 4, (k,)) for row in packed]
    return torch.stack(rows) if rows else torch.zeros(0, k, dtype=torch.int8)


class TestUnpackInt4(ExerciseTests):
    exercise = unpack_int4
    independent = staticmethod(library_unpack4)
