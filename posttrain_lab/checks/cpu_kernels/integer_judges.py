"""Shared by the checks of unit 05: judges for integers, exact products, and sums that wrap around."""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.judges import Judge, close, whole_products


def whole_judge() -> Judge:
    """Equal values, and no product of floats on the way."""
    return whole_products(close(0.0, 0.0))


def wrapped(sums: Tensor, bits: int) -> Tensor:
    """The values of an accumulator with this number of bits: the sums, wrapped around."""
    return (sums.long() + 2 ** (bits - 1)).remainder(2**bits) - 2 ** (bits - 1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) times b (K, N), exact."""
    return (a.long() @ b.long()).to(torch.int32)
