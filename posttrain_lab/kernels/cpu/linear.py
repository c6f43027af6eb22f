"""int8_linear: quantize each row of x, exact sums with packed weights, scale, bias and activation while the sums are near."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.packed import PANEL, Int8Weight

from .panels import BLOCK, CODES, COLUMNS, PANELS, block_sums, padded, scaled, second_vector, tiles_of
from .simd import OFFSET
from .threads import compiled, cut, flat, run


@compiled
def quantize_rows(x, bits, codes, scale, sums, part):
    """codes[r] = round(x[r] * (127 / max |x[r]|)), scale[r] = max / 127, sums[r] = sum of codes, for the rows of `part`.

    x float32 [M, K] and bits, the same memory as int32: without their sign, floats are ordered like integers, NaN on top.
    codes int16 or int8 [M, >= K], zeros behind K. scale NaN: the row holds NaN or infinity.
    """
    columns = x.shape[1]
    for row in range(part[0], part[1]):
        largest = np.int32(0)
        for k in range(columns):
            largest = max(largest, bits[row, k] & np.int32(0x7FFFFFFF))
        scale.view(np.int32)[row] = largest
        inverse, total = np.float32(127) / scale[row], np.int32(0)
        if largest >= 0x7F800000:
            scale[row] = np.nan
        elif not np.isfinite(inverse):
            codes[row, :] = 0
            scale[row] = 0
        else:
            for k in range(columns):
                code = np.int32(np.rint(x[row, k] * inverse))
                codes[row, k] = code
                total += code
            codes[row, columns:] = 0
            scale[row] /= np.float32(127)
        sums[row] = total


def quantized(op: str, x: Tensor, width: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes [M, width], scales [M] and sums of codes [M] of x; ValueError for NaN or infinity."""
    rows = x.contiguous().numpy()
    codes, scale, sums = np.empty((len(rows), width), dtype), np.empty(len(rows), np.float32), np.empty(len(rows), np.int32)
    run(quantize_rows, (rows, rows.view(np.int32), codes, scale, sums), cut(len(rows), 1, 4 * rows.size))
    if not np.isfinite(scale).all():
        bad = int(np.flatnonzero(~np.isfinite(scale))[0])
        raise ValueError(f"{op} wants finite x, got NaN or infinity in row {bad}; look at what came before this layer.")
    return codes, scale, sums


@compiled
def multiply_scaled(x, offsets, row_scale, w, w_scale, bias, relu, out, shape, part):
    """out (M, N) float32 from codes x (M, K) and panels w, all flat. shape: (K, N); part: rows and tiles, each (first, end)."""
    k_size, n = shape
    panels, stride = -(-n // PANEL), k_size * PANEL
    sums = np.empty((BLOCK + 4) * COLUMNS, np.int32)
    for first in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - first)
        for tile in range(part[2], part[3]):
            panel = tile * PANELS
            block_sums(x, first, rows, k_size, w, panel * stride, second_vector(panel, panels, stride), sums)
            column, end = tile * COLUMNS, first + rows
            width = min(COLUMNS, n - column)
            scaled(sums, rows, offsets[first:end], row_scale[first:end], w_scale, bias, relu, out, first, n, column, width)


def parts_of(m: int, n: int, k: int) -> list[tuple[int, int, int, int]]:
    """(first row, end row, first tile, end tile) for each thread: rows are cut where they are many, else columns."""
    tiles = tiles_of(n)
    if n > m:
        return [(0, m, first, end) for first, end in cut(tiles, 1, m * n * k)]
    return [(first, end, 0, tiles) for first, end in cut(m, 4, m * n * k)]


def bias_or_zeros(bias: Tensor | None, n: int) -> np.ndarray:
    """The bias as an array; none is zeros."""
    return np.zeros(n, np.float32) if bias is None else flat(bias.detach())


def finish(y: Tensor, activation: str) -> Tensor:
    """What the kernel left over: gelu, which needs more than a comparison."""
    return F.gelu(y) if activation == "gelu" else y


def int8_linear(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n = x.shape, len(weight.scale)
    out = torch.empty(m, n)
    if m == 0:
        return out
    codes, scale, sums = quantized("int8_linear", x, padded(k), CODES)
    w, extra = flat(weight.codes), bias_or_zeros(bias, n)
    operands = (codes.reshape(-1), sums * OFFSET, scale, w, flat(weight.scale), extra, activation == "relu", flat(out))
    run(multiply_scaled, (*operands, (padded(k), n)), parts_of(m, n, k))
    return finish(out, activation)
