"""`pack_int4`: what every exercise must do, and an independent right answer."""

import torch

from posttrain_lab.checks.cpu_kernels import pack_int4
from posttrain_lab.quantization.packing import pack_codes
from tests.checks.exercise_tests import ExerciseTests


def library_pack4(codes):
    """Row by row, because the library packs a tensor as one row."""
    rows = [pack_codes(row.contiguous(), 4) for row in codes]
    return torch.stack(rows) if rows else torch.zeros(0, -(-codes.shape[1] // 2), dtype=torch.uint8)


class TestPackInt4(ExerciseTests):
    exercise = pack_int4
    independent = staticmethod(library_pack4)
