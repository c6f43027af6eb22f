"""The oracle of `multiply_shift`: Python's integers, which have no largest one."""

from collections.abc import Callable

import torch
from torch import Tensor

Rescaled = Callable[[int, int, int], int]


def number_by_number(rescaled: Rescaled) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A function of (sums, multiplier, shift) from one of three integers."""

    def whole(sums: Tensor, multiplier: Tensor, shift: Tensor) -> Tensor:
        fixed = list(zip(multiplier.tolist(), shift.tolist(), strict=True))
        rows = [[rescaled(one, m, s) for one, (m, s) in zip(row, fixed, strict=True)] for row in sums.tolist()]
        return torch.tensor(rows, dtype=torch.int64).reshape(sums.shape)

    return whole


right_multiply_shift = number_by_number(lambda one, m, s: (one * m + (1 << (s - 1))) >> s)
