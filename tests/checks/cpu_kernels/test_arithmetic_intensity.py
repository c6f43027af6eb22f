"""`arithmetic_intensity`: what every exercise must do, and an independent right answer."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from posttrain_lab.checks.cpu_kernels import arithmetic_intensity
from tests.checks.exercise_tests import ExerciseTests


def intensity_by_counting(m, k, n, width):
    """torch counts the operations, and the bytes of tensors of that width (4-bit codes: two in a byte)."""
    dtypes = {4: torch.float32, 2: torch.float16, 1: torch.int8, 0.5: torch.int8}
    a, b = torch.empty(m, k, device="meta"), torch.empty(k, n, device="meta")
    with FlopCounterMode(display=False) as counter:
        out = a @ b
    inputs = sum(part.to(dtypes[width]).nbytes for part in (a, b)) / (2 if width == 0.5 else 1)
    return counter.get_total_flops() / (inputs + out.nbytes)


class TestArithmeticIntensity(ExerciseTests):
    exercise = arithmetic_intensity
    independent = staticmethod(intensity_by_counting)
