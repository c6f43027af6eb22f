"""Shared by the checks of unit 05: judges for integers, exact products, and sums that wrap around."""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.judges import Judge, close
from posttrain_lab.checks.engine.outcome import Outcome


def whole_judge() -> Judge:
    """Equal values, and no product of floats in between."""
    values = close(0.0, 0.0)

    def judge(want: Outcome, got: Outcome) -> str | None:
        found = values(want, got)
        if not found and got.float_products and not want.float_products:
            return f"the product ran in floating point ({got.float_products[0]}); multiply the codes as whole numbers."
        return found

    return judge


def wrapped(sums: Tensor, bits: int) -> Tensor:
    """The values of an accumulator with this number of bits: the sums, wrapped around."""
    return (sums.long() + 2 ** (bits - 1)).remainder(2**bits) - 2 ** (bits - 1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) times b (K, N), exact."""
    return (a.long() @ b.long()).to(torch.int32)
