"""`arithmetic_intensity`: what every exercise must do, and an independent right answer."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from posttrain_lab.checks.cpu_kernels import arithmetic_intensity
from tests.checks.exercise_tests import ExerciseTests


def intensity_by_counting(m, k, n, width):
    """torch counts the operations, and the bytes of tensors: each number as so many sixteenths of a byte, in a tensor of bytes."""
    a, b = torch.empty(m, k, device="meta"), torch.empty(k, n, device="meta")
    with FlopCounterMode(display=False) as counter:
        out = a @ b
    inputs = sum(torch.empty(*part.shape, round(16 * width), dtype=torch.uint8, device="meta").nbytes for part in (a, b)) / 16
    return counter.get_total_flops() / (inputs + out.nbytes)


class TestArithmeticIntensity(ExerciseTests):
    exercise = arithmetic_intensity
    independent = staticmethod(intensity_by_counting)
