"""int32 sums to int8 codes in one pass over memory: the last step of every integer layer."""

import numpy as np
import torch
from torch import Tensor

from .jit_cache import compiled


@compiled
def requantize_rows(sums, channels, grid, out):
    """channels: (bias, multiplier, shift), one for each output. grid: (zero point, lowest code, highest code)."""
    (bias, multiplier, shift), (zero_point, low, high) = channels, grid
    for row in range(sums.shape[0]):
        for channel in range(sums.shape[1]):
            wide = np.int64(sums[row, channel] + bias[channel]) * multiplier[channel]
            code = ((wide + (np.int64(1) << (shift[channel] - 1))) >> shift[channel]) + zero_point
            out[row, channel] = min(max(code, low), high)


def rescale_to_codes(
    sums: Tensor, bias: Tensor, fixed: tuple[Tensor, Tensor], zero_point: int, limits: tuple[int, int]
) -> Tensor:
    """clamp(((sums + bias) * multiplier + half) >> shift + zero_point): int32 [..., out] -> int8 [..., out], exact.

    bias int32 [out]; fixed = (multiplier, shift), int64 [out] each, as from `fixed_point`; the sums stay below 2^30.
    """
    rows = sums.reshape(-1, sums.shape[-1]).contiguous().numpy()
    out = np.empty(rows.shape, np.int8)
    requantize_rows(rows, (bias.numpy(), fixed[0].numpy(), fixed[1].numpy()), (int(zero_point), *map(int, limits)), out)
    return torch.from_numpy(out).reshape(sums.shape)
