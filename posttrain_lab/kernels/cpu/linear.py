"""int8_linear: quantize a block of rows, exact sums with packed weights, scale, bias and activation while all is in the cache.

Each thread quantizes the rows it multiplies, block by block: the codes of all rows never exist at once.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.packed import Int8Weight
from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.validation import LARGEST_K
from posttrain_lab.kernels.views_cache import array_of

from .int8_microkernel import (
    BLOCK,
    CODES,
    COLUMNS,
    FEW,
    PANELS,
    block_sums,
    one_row,
    rows_on_rows,
    scaled,
    second_vector,
    tiles_of,
)
from .jit_cache import compiled, inner
from .saturation_outliers import add_outliers, add_to_row, compensation_of, side_by_side, transpose_block
from .simd_bytes import SHIFT, STEP
from .simd_rounding import bits_of, float_of, larger_sizes, largest_size, no_sizes, size_of, store_rounded
from .threads import cut, flat, run, whole

FEW_NUMBERS = 1 << 14  # of results: making a tensor for them takes longer than filling it
LARGEST = np.finfo(np.float32).max
ROUNDING = np.float32(3 << 22)  # 1.5 * 2^23: a float32 of this size has no bits for fractions, so adding rounds to whole numbers


@inner
def quantize_row(x, at, size, codes, to, width, shift):
    """codes[to :] = round(row * (127 / max |row|)) + shift for the row x[at : at + size], filled up with zeros to `width`; max / 127.

    x float32. As int32 and without their sign, floats are ordered like integers, NaN on top. The scale is NaN for a row that holds
    NaN or infinity, and 0 for one that is all 0 (or too small for 127 / max).
    """
    sizes, sixteens = no_sizes(), size // 16 * 16
    for k in range(at, at + sixteens, 16):
        sizes = larger_sizes(sizes, x, k)
    largest = largest_size(sizes)
    for k in range(at + sixteens, at + size):
        largest = max(largest, size_of(x[k]))
    top = float_of(largest)
    inverse = np.float32(127) / top
    if largest >= 0x7F800000:
        return np.float32(np.nan)
    if inverse > LARGEST:
        size, sixteens, top = 0, 0, np.float32(0)
    rounding = ROUNDING + np.float32(shift)
    for k in range(0, sixteens, 16):
        store_rounded(codes, to + k, x, at + k, inverse, rounding)
    for k in range(sixteens, size):
        codes[to + k] = bits_of(x[at + k] * inverse + rounding)  # the lowest bits are those of the whole number
    for k in range(to + size, to + width):
        codes[k] = shift
    return top / np.float32(127)


@compiled
def quantize_rows(x, codes, scale, part):
    """`quantize_row` for the rows of `part` (first, end): x float32 [M, K] -> codes [M, >= K], both flat, scale [M]."""
    size, width = len(x) // len(scale), len(codes) // len(scale)
    for row in range(part[0], part[1]):
        scale[row] = quantize_row(x, row * size, size, codes, row * width, width, 0)


def quantized(op: str, x: Tensor, width: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Codes [M, width] and scales [M] of x; ValueError for NaN or infinity."""
    rows = x.contiguous().numpy()
    codes, scale = np.empty((len(rows), width), dtype), np.empty(len(rows), np.float32)
    run(quantize_rows, (rows.reshape(-1), codes.reshape(-1), scale), cut(len(rows), 1, 4 * rows.size))
    check_finite(op, scale)
    return codes, scale


def check_finite(op: str, scale: np.ndarray) -> None:
    """Every row had a scale. Raises ValueError that names the first row without."""
    if np.isnan(scale).any():
        check_rows(op, int(np.flatnonzero(np.isnan(scale))[0]), len(scale))


def check_rows(op: str, bad: int, rows: int) -> None:
    """`bad`: the first of the rows that is not finite, or their number."""
    if bad < rows:
        raise ValueError(f"{op} wants finite x, got NaN or infinity in row {bad}; look at what came before this layer.")


@compiled
def multiply_scaled(x, w, corrections, w_scale, bias, relu, out, size, part):
    """out (M, N) float32 from x (M, K) float32 and panels w, all flat; size: (M, K, N); part: rows and tiles, each (first, end).

    Returns the first row that is not finite, M if all are.
    """
    k, n, bad = size[1], size[2], size[0]
    k_size = -(-k // STEP) * STEP
    panels, stride, (starts, offsets) = -(-n // PANEL), k_size * PANEL, rows_on_rows(k_size)
    codes = np.empty(min(BLOCK, part[1] - part[0] + FEW) * k_size, CODES)
    transposed = np.empty(k_size // 4 * side_by_side(part[1] - part[0]), np.int32)
    sums, lines = np.empty((BLOCK + 4) * COLUMNS, np.int32), np.empty(BLOCK * COLUMNS, np.int32)
    row_scale = np.empty(BLOCK, np.float32)
    for first in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - first)
        for r in range(rows):
            row_scale[r] = quantize_row(x, (first + r) * k, k, codes, r * k_size, k_size, SHIFT)
            bad = min(bad, first + r) if row_scale[r] != row_scale[r] else bad  # NaN
        transpose_block(codes, starts, rows, offsets, k_size, corrections, n, transposed)
        for tile in range(part[2], part[3]):
            panel, column = tile * PANELS, tile * COLUMNS
            second, width = second_vector(codes, panel, panels, stride), min(COLUMNS, n - column)
            block_sums(codes, starts, rows, offsets, k_size, w, panel * stride, second, sums)
            add_outliers(transposed, rows, corrections, n, column, width, sums, lines)
            scaled(sums, rows, compensation_of(corrections, n), row_scale, w_scale, bias, relu, out, first, n, column, width)
    return bad


@compiled
def multiply_few(x, w, corrections, w_scale, bias, relu, out, size, part):
    """`multiply_scaled` for fewer than FEW rows: weights are read once from far away, and nothing is worth being prepared for."""
    m, k, n = size
    k_size, bad = -(-k // STEP) * STEP, m
    panels, stride, half = -(-n // PANEL), k_size * PANEL, (part[3] - part[2] + 1) // 2
    codes, row_scale = np.empty(m * k_size, CODES), np.empty(m, np.float32)
    sums, lines = np.empty(2 * m * COLUMNS, np.int32), np.empty(len(corrections), np.int32)
    for r in range(m):
        row_scale[r] = quantize_row(x, r * k, k, codes, r * k_size, k_size, SHIFT)
        bad = min(bad, r) if row_scale[r] != row_scale[r] else bad  # NaN
    for tile in range(part[2], part[2] + half):
        tiles = tile, min(tile + half, part[3] - 1)  # the last one may be a tile that was there before
        places = tiles[0] * PANELS * stride, tiles[1] * PANELS * stride
        seconds = (
            second_vector(codes, tiles[0] * PANELS, panels, stride),
            second_vector(codes, tiles[1] * PANELS, panels, stride),
        )
        for r in range(m):
            one_row(codes, r * k_size, k_size, w, places, seconds, sums, (r * COLUMNS, (m + r) * COLUMNS))
        for i in range(2):
            column, here = tiles[i] * COLUMNS, sums[i * m * COLUMNS :]
            width = min(COLUMNS, n - column)
            for r in range(m):
                add_to_row(codes, r * k_size, corrections, n, column, width, here, r * COLUMNS, lines)
            scaled(here, m, compensation_of(corrections, n), row_scale, w_scale, bias, relu, out, 0, n, column, width)
    return bad


def parts_of(m: int, n: int, k: int) -> list[tuple[int, int, int, int]]:
    """(first row, end row, first tile, end tile) for each thread: rows are cut where they are many, else columns."""
    tiles = tiles_of(n)
    if n > m:
        return [(0, m, first, end) for first, end in cut(tiles, 1, m * n * k)]
    return [(first, end, 0, tiles) for first, end in cut(m, 4, m * n * k)]


def bias_or_zeros(bias: Tensor | None, n: int) -> np.ndarray:
    """The bias as an array; none is zeros."""
    return np.zeros(n, np.float32) if bias is None else flat(bias.detach() if bias.requires_grad else bias)


def finish(y: Tensor, activation: str) -> Tensor:
    """What the kernel left over: gelu, which needs more than a comparison."""
    return F.gelu(y) if activation == "gelu" else y


def results(shape: tuple[int, ...], dtype: Any) -> tuple[Tensor, np.ndarray]:
    """A tensor for the results, float32 or int32, and its numbers in a row. Few numbers come from numpy, which asks less."""
    if math.prod(shape) <= FEW_NUMBERS:
        array = np.empty(shape, dtype)
        return torch.from_numpy(array), array.reshape(-1)
    out = torch.empty(shape, dtype=torch.float32 if dtype is np.float32 else torch.int32)
    return out, out.numpy().reshape(-1)


def multiplied(x: np.ndarray, views: tuple[np.ndarray, ...], bias: np.ndarray, relu: bool) -> Tensor:
    """x (M, K) float32, contiguous -> (M, N); views: those of an `Int8Weight`."""
    (m, k), n = x.shape, len(bias)
    out, numbers = results((m, n), np.float32)
    if m == 0:
        return out
    codes, scale, corrections = views
    operands = (x.reshape(-1), codes, corrections, scale, bias, relu, numbers, (m, k, n))
    kernel = multiply_scaled if m >= FEW else multiply_few
    check_rows("int8_linear", min(run(kernel, operands, parts_of(m, n, k))), m)
    return out


def int8_linear(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    views = weight.views
    return finish(multiplied(whole(x), views, bias_or_zeros(bias, len(views[1])), activation == "relu"), activation)


def int8_linear_fast_path(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor | None:
    """`int8_linear` for two axes, no gelu and nothing unusual, not checked before; None for all else."""
    if type(weight) is not Int8Weight or not weight.plain or (activation != "none" and activation != "relu"):
        return None
    views, k = weight.views, weight.in_features
    n = len(views[1])
    rows, offset = array_of(x, np.float32, 2), np.zeros(n, np.float32) if bias is None else array_of(bias, np.float32, 1)
    if rows is None or offset is None or rows.shape[1] != k or len(offset) != n or k > LARGEST_K:
        return None
    return multiplied(rows, views, offset, activation == "relu")
