"""int4_linear: rows are rounded to int8 block by block, and tiles of nibbles multiplied as they are taken apart (see `int4_microkernel.py`)."""

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.packed import GROUP_STEP, Int4Weight
from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.validation import LARGEST_K
from posttrain_lab.kernels.views_cache import array_of

from .int4_microkernel import INT16_DEPTH, OFFSETS, four_rows, note_offsets, one_row, tile_at
from .int8_microkernel import BLOCK, COLUMNS, FEW
from .jit_cache import compiled, inner
from .linear import bias_or_zeros, check_finite, finish, parts_of, quantize_row, results
from .simd import LANES
from .simd_floats import load_scaled
from .simd_scaling import load_up_to, positive, scaled_floats, store_up_to
from .threads import run, whole

DENSE_OUTPUTS = 256  # outputs whose float weights exist at once, with float activations


@inner
def finished(y, q, rows, row_scale, bias, relu, out, first, n, column):
    """out[first + r, column ...] = y[q + r * COLUMNS ...] times the scale of the row, plus bias, below 0 cut off where relu; out is flat."""
    last, width = n - 1, n - column
    b0, b1 = load_up_to(bias, column, last), load_up_to(bias, column + LANES, last)
    for row in range(first, first + rows):
        y0, y1 = (
            scaled_floats(load_scaled(y, q), row_scale[row], b0),
            scaled_floats(load_scaled(y, q + LANES), row_scale[row], b1),
        )
        store_up_to(out, row * n + column, positive(y0) if relu else y0, width)
        store_up_to(out, row * n + column + LANES, positive(y1) if relu else y1, width - LANES)
        q += COLUMNS


@inner
def rounded(x, first, rows, size, codes, offsets, row_scale):
    """Codes of `rows` rows of x from `first` on, what their chunks' sums are too large by, and their scales."""
    k, chunks = size[0], size[0] // size[1]
    for r in range(rows):
        row_scale[first + r] = quantize_row(x, (first + r) * k, k, codes, r * k, k, 0)
        for i in range(r * chunks, (r + 1) * chunks):
            note_offsets(codes, i * size[1], size[1], offsets, 2 * i)


@compiled
def multiply_groups(x, row_scale, w, scales, size, bias, relu, out, part):
    """out (M, N) float32, flat, from x (M, K) float32 and nibbles w; part: rows and tiles, each (first, end), at least FEW rows.

    row_scale (M) gets the scale of each row, NaN where a row is not finite. size: (K, chunk, group, length of a row of scales).
    """
    n, k = len(bias), x.shape[1]
    panels, stride, chunks = -(-n // PANEL), k * PANEL // 2, k // size[1]
    codes, offsets, y = (
        np.empty(BLOCK * k, np.int8),
        np.empty(2 * BLOCK * chunks, OFFSETS),
        np.empty((BLOCK + 4) * COLUMNS, np.float32),
    )
    for begin in range(part[0], part[1], BLOCK):
        begin = max(part[0], min(begin, part[1] - FEW))  # a last block of too few rows takes some again
        rows = min(BLOCK, part[1] - begin)
        rounded(x.reshape(-1), begin, rows, size, codes, offsets, row_scale)
        for tile in range(part[2], part[3]):
            p, second, column, beside = tile_at(tile, panels, stride)
            for r in range(0, rows, 4):
                r = min(r, rows - 4)
                four_rows(codes, r, size, offsets, w, p, second, scales, column, beside, y, r * COLUMNS)
            finished(y, 0, rows, row_scale, bias, relu, out, begin, n, column)


@compiled
def multiply_few_groups(x, row_scale, w, scales, size, bias, relu, out, part):
    """`multiply_groups` for fewer than FEW rows."""
    m, k, n = len(x), x.shape[1], len(bias)
    panels, stride, half = -(-n // PANEL), k * PANEL // 2, (part[3] - part[2] + 1) // 2
    codes, offsets, y = np.empty(m * k, np.int8), np.empty(2 * m * k // size[1], OFFSETS), np.empty(2 * m * COLUMNS, np.float32)
    rounded(x.reshape(-1), 0, m, size, codes, offsets, row_scale)
    for tile in range(part[2], part[2] + half):
        other = min(tile + half, part[3] - 1)  # the last one may be a tile that was there before
        tiles = tile_at(tile, panels, stride), tile_at(other, panels, stride)
        for r in range(m):
            one_row(codes, r, size, offsets, w, tiles, scales, y, (r * COLUMNS, (m + r) * COLUMNS))
        for i in range(2):
            finished(y, i * m * COLUMNS, m, row_scale, bias, relu, out, 0, n, tiles[i][2])


@functools.cache
def chunk_of(group: int) -> int:
    """The largest part of a group, in whole steps, that INT16_DEPTH allows and that divides it."""
    return max(size for size in range(GROUP_STEP, min(group, INT16_DEPTH) + 1, GROUP_STEP) if group % size == 0)


def multiplied(x: np.ndarray, weight: Int4Weight, bias: np.ndarray, relu: bool) -> Tensor:
    """x (M, K) float32, contiguous -> (M, N)."""
    (m, k), n, (codes, scales) = x.shape, weight.out_features, weight.views
    out, numbers = results((m, n), np.float32)
    if m == 0:
        return out
    groups = weight.scale.shape[0]
    size, row_scale = (k, chunk_of(k // groups), k // groups, len(scales) // groups), np.empty(m, np.float32)
    kernel = multiply_groups if m >= FEW else multiply_few_groups
    run(kernel, (x, row_scale, codes, scales, size, bias, relu, numbers), parts_of(m, n, k))
    check_finite("int4_linear", row_scale)
    return out


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    if activations == "float32":
        return _with_floats(x, weight, bias, activation, torch.empty(len(x), weight.out_features))
    return finish(multiplied(whole(x), weight, bias_or_zeros(bias, weight.out_features), activation == "relu"), activation)


def int4_linear_fast_path(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor | None:
    """`int4_linear` for two axes, int8 activations, no gelu and nothing unusual, not checked before; None for all else."""
    if (
        type(weight) is not Int4Weight
        or not weight.plain
        or activations != "int8"
        or (activation != "none" and activation != "relu")
    ):
        return None
    n, k, rows = weight.out_features, weight.in_features, array_of(x, np.float32, 2)
    offset = np.zeros(n, np.float32) if bias is None else array_of(bias, np.float32, 1)
    if rows is None or offset is None or rows.shape[1] != k or len(offset) != n or k > LARGEST_K:
        return None
    return multiplied(rows, weight, offset, activation == "relu")


def _with_floats(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, out: Tensor) -> Tensor:
    """Float activations: the weights become floats, DENSE_OUTPUTS outputs at a time, and torch multiplies."""
    n = out.shape[1]
    for first in range(0, n, DENSE_OUTPUTS):
        end = min(first + DENSE_OUTPUTS, n)
        panels = weight.codes[first // PANEL : -(-end // PANEL)]
        part = Int4Weight(panels, weight.scale[:, first : first + DENSE_OUTPUTS], weight.in_features, end - first)
        out[:, first:end] = F.linear(x, part.dense(), None if bias is None else bias[first:end])
    return F.relu_(out) if activation == "relu" else finish(out, activation)
