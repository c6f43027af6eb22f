"""int4_linear: rows are rounded to int8 block by block, and tiles of nibbles multiplied as they are taken apart (see `int4_microkernel.py`)."""

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.packed import GROUP_STEP, Int4Weight
from posttrain_lab.kernels.panel_layout import PANEL

from .int4_microkernel import COMPENSATION, INT16_DEPTH, Chunks, four_rows, nibble_tile, note_compensation, one_row
from .int8_microkernel import BLOCK, COLUMNS, FEW, OutputTile
from .jit_cache import compiled, inner
from .linear import bias_or_zeros, check_finite, finish, quantize_row, results, usual_arrays, work_ranges
from .simd import LANES
from .simd_floats import load_scaled
from .simd_scaling import load_up_to, positive, scaled_floats, store_up_to
from .threads import run, whole

DENSE_OUTPUTS = 256  # outputs whose float weights exist at once, with float activations


@inner
def store_scaled_floats(y, at, count, epilogue, to):
    """`count` rows of y[at :] times the scale of the row, plus bias, then relu if it is asked for.

    epilogue: (row_scale of the whole result, bias, relu). `to`: rows of the result, from to.start / to.stride on.
    """
    (row_scale, bias, relu), (out, start, stride, column, width) = epilogue, to
    last = stride - 1
    b0, b1 = load_up_to(bias, column, last), load_up_to(bias, column + LANES, last)
    for row in range(start // stride, start // stride + count):
        y0 = scaled_floats(load_scaled(y, at), row_scale[row], b0)
        y1 = scaled_floats(load_scaled(y, at + LANES), row_scale[row], b1)
        store_up_to(out, row * stride + column, positive(y0) if relu else y0, width)
        store_up_to(out, row * stride + column + LANES, positive(y1) if relu else y1, width - LANES)
        at += COLUMNS


@inner
def quantize_block(x, first, count, rows, row_scale):
    """Codes of `count` rows of x from `first` on, flat, the compensation of their chunks, and their scales."""
    k, chunk, chunks = rows.k, rows.chunk, rows.k // rows.chunk
    for r in range(count):
        row_scale[first + r] = quantize_row(x, ((first + r) * k, k), rows.codes, (r * k, k), 0)
        for i in range(r * chunks, (r + 1) * chunks):
            note_compensation(rows.codes, i * chunk, chunk, rows.compensation, 2 * i)


@inner
def multiply_blocks(x, weight, rows, epilogue, to, work_range):
    """`multiply_groups`, given memory for the codes of a block in `rows`. to: (out, y), y for the sums of a tile."""
    (first_row, end_row, first_tile, end_tile), (row_scale, bias, _), (out, y) = work_range, epilogue, to
    n, panels = len(bias), -(-len(bias) // PANEL)
    for first in range(first_row, end_row, BLOCK):
        first = max(first_row, min(first, end_row - FEW))  # a last block of too few rows takes some again
        count = min(BLOCK, end_row - first)
        quantize_block(x, first, count, rows, row_scale)
        for number in range(first_tile, end_tile):
            tile = nibble_tile(weight, number, panels, rows.k)
            for row in range(0, count, 4):
                four_rows(rows, min(row, count - 4), tile, y)
            store_scaled_floats(y, 0, count, epilogue, OutputTile(out, first * n, n, tile.column, n - tile.column))


@compiled
def multiply_groups(x, weight, sizes, epilogue, out, work_range):
    """out (M, N) float32, flat, from x (M, K) float32, flat; at least FEW rows in a work range: (first row, end row, first tile, end tile).

    weight: (nibbles, scales, scale_stride). sizes: inputs of a row, of a chunk, of a group. epilogue: (row_scale (M), bias, relu); row_scale
    gets the scale of each row, NaN where a row is not finite.
    """
    k, chunk, group = sizes
    rows = Chunks(np.empty(BLOCK * k, np.int8), np.empty(2 * BLOCK * (k // chunk), COMPENSATION), k, chunk, group)
    multiply_blocks(x, weight, rows, epilogue, (out, np.empty((BLOCK + 4) * COLUMNS, np.float32)), work_range)


@inner
def multiply_all_tiles(x, weight, rows, epilogue, to, tiles):
    """`multiply_few_groups`, given memory for the codes in `rows`. to: (out, y). tiles: (first, end)."""
    (out, y), m, n, half = to, len(epilogue[0]), len(epilogue[1]), (tiles[1] - tiles[0] + 1) // 2
    quantize_block(x, 0, m, rows, epilogue[0])
    for number in range(tiles[0], tiles[0] + half):
        other = min(number + half, tiles[1] - 1)  # the last one may be a tile that was there before
        pair = nibble_tile(weight, number, -(-n // PANEL), rows.k), nibble_tile(weight, other, -(-n // PANEL), rows.k)
        for r in range(m):
            one_row(rows, r, pair, y, (r * COLUMNS, (m + r) * COLUMNS))
        for i in range(2):
            tile_to = OutputTile(out, 0, n, pair[i].column, n - pair[i].column)
            store_scaled_floats(y, i * m * COLUMNS, m, epilogue, tile_to)


@compiled
def multiply_few_groups(x, weight, sizes, epilogue, out, work_range):
    """`multiply_groups` for fewer than FEW rows."""
    m, (k, chunk, group) = len(epilogue[0]), sizes
    rows = Chunks(np.empty(m * k, np.int8), np.empty(2 * m * (k // chunk), COMPENSATION), k, chunk, group)
    to = out, np.empty(2 * m * COLUMNS, np.float32)
    multiply_all_tiles(x, weight, rows, epilogue, to, (work_range[2], work_range[3]))


@functools.cache
def chunk_of(group: int) -> int:
    """The largest part of a group, in whole steps, that INT16_DEPTH allows and that divides it."""
    return max(size for size in range(GROUP_STEP, min(group, INT16_DEPTH) + 1, GROUP_STEP) if group % size == 0)


def multiplied(x: np.ndarray, weight: Int4Weight, bias: np.ndarray, relu: bool) -> Tensor:
    """x (M, K) float32, contiguous -> (M, N)."""
    (m, k), n, (codes, scales) = x.shape, weight.out_features, weight.views
    out, elements = results((m, n), np.float32)
    if m == 0:
        return out
    scale_stride, row_scale = -(-n // PANEL) * PANEL, np.empty(m, np.float32)
    kernel, group = multiply_groups if m >= FEW else multiply_few_groups, k * scale_stride // len(scales)
    operands = (x.reshape(-1), (codes, scales, scale_stride), (k, chunk_of(group), group), (row_scale, bias, relu), elements)
    run(kernel, operands, work_ranges(m, n, k))
    check_finite("int4_linear", row_scale)
    return out


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    if activations == "float32":
        return _with_floats(x, weight, bias, activation, torch.empty(len(x), weight.out_features))
    return finish(multiplied(whole(x), weight, bias_or_zeros(bias, weight.out_features), activation == "relu"), activation)


def int4_linear_fast_path(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor | None:
    """`int4_linear` with int8 activations for arguments that were not checked before; None for all but the usual ones."""
    if type(weight) is not Int4Weight or not weight.plain or activations != "int8":
        return None
    arrays = usual_arrays(x, weight.in_features, weight.out_features, bias, activation)
    return None if arrays is None else multiplied(arrays[0], weight, arrays[1], activation == "relu")


def _with_floats(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, out: Tensor) -> Tensor:
    """Float activations: the weights become floats, DENSE_OUTPUTS outputs at a time, and torch multiplies."""
    n = out.shape[1]
    for first in range(0, n, DENSE_OUTPUTS):
        end = min(first + DENSE_OUTPUTS, n)
        panels = weight.codes[first // PANEL : -(-end // PANEL)]
        part = Int4Weight(panels, weight.scale[:, first : first + DENSE_OUTPUTS], weight.in_features, end - first)
        out[:, first:end] = F.linear(x, part.dense(), None if bias is None else bias[first:end])
    return F.relu_(out) if activation == "relu" else finish(out, activation)
