"""int8_linear: quantize a block of rows, exact sums with packed weights, scale, bias and activation while all is in the cache."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.packed import Int8Weight
from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.processor import SHIFT, STEP
from posttrain_lab.kernels.validation import LARGEST_K
from posttrain_lab.kernels.views_cache import array_of

from .int8_microkernel import (
    BLOCK,
    CODES,
    COLUMNS,
    FEW,
    Epilogue,
    OutputTile,
    Rows,
    block_sums,
    one_row,
    rows_of_matrix,
    store_scaled_sums,
    tile_at,
    tiles_of,
)
from .jit_cache import compiled, inner
from .saturation_outliers import add_outliers, add_to_row, corrections_of, side_by_side, transpose_block
from .simd_rounding import bits_of, float_of, larger_sizes, largest_size, no_sizes, size_of, store_rounded
from .threads import cut, flat, run, whole

FEW_NUMBERS = 1 << 14  # of results: making a tensor for them takes longer than filling it
LARGEST = np.finfo(np.float32).max
INFINITY_BITS = 0x7F800000
ROUNDING = np.float32(3 << 22)  # 1.5 * 2^23: a float32 of this size has no bits for fractions, so adding rounds to whole numbers


@inner
def quantize_row(x, row, codes, to, shift):
    """codes[to[0] :] = round(row * (127 / max |row|)) + shift, padded with zeros to to[1] codes; returns the scale, max / 127.

    row: (first, size) of the row in x, float32. The scale is NaN for a row that holds NaN or infinity, and 0 for one that is all 0 (or
    too small for 127 / max).
    """
    # Without its sign, a float32 seen as an int32 is the larger the larger it is, and NaN is the largest: one maximum of integers
    # finds the range and whatever is not finite.
    (at, size), (begin, width), sizes = row, to, no_sizes()
    sixteens = size // 16 * 16
    for k in range(at, at + sixteens, 16):
        sizes = larger_sizes(sizes, x, k)
    largest = largest_size(sizes)
    for k in range(at + sixteens, at + size):
        largest = max(largest, size_of(x[k]))
    if largest >= INFINITY_BITS:
        return np.float32(np.nan)
    top = float_of(largest)
    inverse = np.float32(127) / top
    if inverse > LARGEST:
        size, sixteens, top = 0, 0, np.float32(0)
    # ROUNDING is so large that adding it leaves no bits for fractions: the addition rounds, the lowest bits are the whole number.
    rounding = ROUNDING + np.float32(shift)
    for k in range(0, sixteens, 16):
        store_rounded(codes, begin + k, x, at + k, inverse, rounding)
    for k in range(sixteens, size):
        codes[begin + k] = bits_of(x[at + k] * inverse + rounding)
    for k in range(begin + size, begin + width):
        codes[k] = shift
    return top / np.float32(127)


@compiled
def quantize_rows(x, codes, scale, work_range):
    """`quantize_row` for the rows from work_range[0] to work_range[1]: x float32 [M, K] -> codes [M, >= K], both flat, scale [M]."""
    size, width = len(x) // len(scale), len(codes) // len(scale)
    for row in range(work_range[0], work_range[1]):
        scale[row] = quantize_row(x, (row * size, size), codes, (row * width, width), 0)


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


class Scratch(NamedTuple):
    """The memory of a thread that multiplies blocks of rows: their codes (as `Rows`), scales and transposed codes; the sums of a tile."""

    codes: Any
    starts: Any
    offsets: Any
    row_scale: Any
    transposed: Any
    sums: Any
    products: Any


@inner
def quantize_block(x, shape, first, rows, row_scale):
    """Codes and scales of the rows of x (M, K), flat, from `first` on; returns the first row that is not finite, M if all are."""
    bad, k = shape
    for r in range(rows.count):
        row_scale[r] = quantize_row(x, ((first + r) * k, k), rows.codes, (r * rows.length, rows.length), SHIFT)
        bad = min(bad, first + r) if row_scale[r] != row_scale[r] else bad  # NaN
    return bad


@inner
def multiply_blocks(inputs, weight, ending, out, work_range, scratch):
    """`multiply_many`, given `scratch`. inputs: (x, shape). ending: (bias, relu)."""
    (first_row, end_row, first_tile, end_tile), n, k_size = work_range, len(ending[0]), -(-inputs[1][1] // STEP) * STEP
    bad, panels, corrections = inputs[1][0], -(-n // PANEL), corrections_of(weight[2], n)
    epilogue = Epilogue(corrections.compensation, scratch.row_scale, weight[1], ending[0], ending[1])
    rows_of_matrix(scratch.starts, scratch.offsets, k_size)
    for first in range(first_row, end_row, BLOCK):
        # Each thread quantizes the rows that it multiplies next: their codes are still in the cache, and those of all rows never exist.
        rows = Rows(scratch.codes, scratch.starts, scratch.offsets, k_size, min(BLOCK, end_row - first))
        bad = min(bad, quantize_block(inputs[0], inputs[1], first, rows, scratch.row_scale))
        transpose_block(rows, corrections, scratch.transposed)
        # All tiles of weights pass over the block. A tile's sums are corrected, scaled and stored while they are in the nearest cache.
        for tile in range(first_tile, end_tile):
            block_sums(rows, tile_at(rows.codes, weight[0], tile, panels, k_size * PANEL, 0), scratch.sums)
            to = OutputTile(out, first * n, n, tile * COLUMNS, min(COLUMNS, n - tile * COLUMNS))
            add_outliers(scratch.transposed, rows.count, corrections, to, scratch.sums, scratch.products)
            store_scaled_sums(scratch.sums, rows.count, epilogue, to)
    return bad


@compiled
def multiply_many(x, weight, ending, out, shape, work_range):
    """out (M, N) float32 from x (M, K) float32, both flat, and weight: (panels, scale, corrections). ending: (bias, relu). shape: (M, K).

    work_range: (first row, end row, first tile, end tile). Returns the first row that is not finite, M if all are.
    """
    k_size, rows = -(-shape[1] // STEP) * STEP, work_range[1] - work_range[0]
    scratch = Scratch(
        np.empty(min(BLOCK, rows + FEW) * k_size, CODES),
        np.empty(BLOCK, np.int64),
        np.empty(1, np.int64),
        np.empty(BLOCK, np.float32),
        np.empty(k_size // 4 * side_by_side(rows), np.int32),
        np.empty((BLOCK + 4) * COLUMNS, np.int32),
        np.empty(BLOCK * COLUMNS, np.int32),
    )
    return multiply_blocks((x, shape), weight, ending, out, work_range, scratch)


@inner
def multiply_all_tiles(inputs, weight, ending, out, tiles, scratch):
    """`multiply_few`, given `scratch`: (codes, row_scale, sums, prefix). inputs: (x, (M, K)). tiles: (first, end)."""
    (codes, row_scale, sums, prefix), (x, (m, k)), n = scratch, inputs, len(ending[0])
    k_size, panels, half, bad = len(codes) // m, -(-n // PANEL), (tiles[1] - tiles[0] + 1) // 2, m
    corrections, stride = corrections_of(weight[2], n), k_size * PANEL
    epilogue = Epilogue(corrections.compensation, row_scale, weight[1], ending[0], ending[1])
    for r in range(m):
        row_scale[r] = quantize_row(x, (r * k, k), codes, (r * k_size, k_size), SHIFT)
        bad = min(bad, r) if row_scale[r] != row_scale[r] else bad  # NaN
    # Two tiles at a time (see `one_row`): one of the first half, and beside it one of the second half. With an odd number of tiles
    # the last one comes twice.
    for tile in range(tiles[0], tiles[0] + half):
        pair = tile, min(tile + half, tiles[1] - 1)
        both = tile_at(codes, weight[0], pair[0], panels, stride, 0), tile_at(codes, weight[0], pair[1], panels, stride, 0)
        for r in range(m):
            one_row(codes, r * k_size, k_size, both, sums, (r * COLUMNS, (m + r) * COLUMNS))
        for i in range(2):
            here, to = sums[i * m * COLUMNS :], OutputTile(out, 0, n, pair[i] * COLUMNS, min(COLUMNS, n - pair[i] * COLUMNS))
            for r in range(m):
                add_to_row(codes, r * k_size, corrections, to, (here, r * COLUMNS), prefix)
            store_scaled_sums(here, m, epilogue, to)
    return bad


@compiled
def multiply_few(x, weight, ending, out, shape, work_range):
    """`multiply_many` for fewer than FEW rows: each weight is used so seldom that reading it is all that takes time."""
    m, k_size = shape[0], -(-shape[1] // STEP) * STEP
    scratch = (
        np.empty(m * k_size, CODES),
        np.empty(m, np.float32),
        np.empty(2 * m * COLUMNS, np.int32),
        np.empty(len(weight[2]), np.int32),
    )
    return multiply_all_tiles((x, shape), weight, ending, out, (work_range[2], work_range[3]), scratch)


def work_ranges(m: int, n: int, k: int) -> list[tuple[int, int, int, int]]:
    """(first row, end row, first tile, end tile) for each thread: rows are shared out where they are many, else columns."""
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
    out, elements = results((m, n), np.float32)
    if m == 0:
        return out
    kernel = multiply_many if m >= FEW else multiply_few
    check_rows("int8_linear", min(run(kernel, (x.reshape(-1), views, (bias, relu), elements, (m, k)), work_ranges(m, n, k))), m)
    return out


def int8_linear(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    views = weight.views
    return finish(multiplied(whole(x), views, bias_or_zeros(bias, len(views[1])), activation == "relu"), activation)


def usual_arrays(x: Tensor, k: int, n: int, bias: Tensor | None, activation: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The arrays of x [M, k] and bias [n] for a fast path; None for gelu and whatever is unusual."""
    if activation != "none" and activation != "relu":
        return None
    rows, offset = array_of(x, np.float32, 2), np.zeros(n, np.float32) if bias is None else array_of(bias, np.float32, 1)
    if rows is None or offset is None or rows.shape[1] != k or len(offset) != n or k > LARGEST_K:
        return None
    return rows, offset


def int8_linear_fast_path(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor | None:
    """`int8_linear` for arguments that were not checked before; None for all but the usual ones."""
    if type(weight) is not Int8Weight or not weight.plain:
        return None
    views = weight.views
    arrays = usual_arrays(x, weight.in_features, len(views[1]), bias, activation)
    return None if arrays is None else multiplied(arrays[0], views, arrays[1], activation == "relu")
