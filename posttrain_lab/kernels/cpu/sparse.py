"""sparse_linear and nm_linear: float products with the weights that are left.

x is transposed into tiles [K][W] of W rows, so that one weight meets W neighbours in memory: a weight is loaded once, multiplied
with W / 16 vectors, and the sums stay in registers. With few rows the weights stay and single inputs are fetched instead.
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.kernels.sparse_weights import NMWeight, SparseWeight

from .jit_cache import compiled, inner
from .linear import bias_or_zeros
from .simd import LANES
from .simd_floats import (
    gather_scaled,
    load_floats,
    load_scaled,
    multiply_add,
    multiply_vectors,
    repeat_float,
    store_floats,
    total_floats,
    transpose_eight,
    zero_floats,
    zero_scaled,
)
from .threads import cut, run, whole

WIDE, NARROW, FEW = 64, 16, 4  # rows of a tile; with fewer rows than FEW there are no tiles


@inner
def transpose(source, step, rows, columns, target, to):
    """target[c * to + r] = source[r * step + c] for r < rows and c < columns: eight by eight, the rest one by one."""
    for r in range(0, rows, 8):
        for c in range(0, columns, 8):
            if r + 8 <= rows and c + 8 <= columns:
                transpose_eight(source, r * step + c, step, target, c * to + r, to)
                continue
            for i in range(64):
                one, other = r + (i >> 3), c + (i & 7)
                if one < rows and other < columns:
                    target[other * to + one] = source[one * step + other]


@inner
def aligned(memory):
    """(first, end) of float32 memory from its first whole cache line on, 16 shorter: a vector in two lines would be loaded twice."""
    skip = (-memory.ctypes.data // 4) % 16
    return skip, skip + len(memory) - 16


@inner
def transpose_tile(x, first, width, tile):
    """tile[k * width + m] = x[first + m, k]; rows of x and columns that are missing are 0. Whole cache lines at a time."""
    k, rows, elements = x.shape[1], min(width, len(x) - first), x.reshape(-1)
    for i in range(len(tile) if rows * k < len(tile) else 0):
        tile[i] = 0
    for start in range(0, k, 16):
        transpose(elements[first * k + start :], k, rows, min(16, k - start), tile[start * width :], width)


def tiles_of_rows(m: int, n: int, width: int, macs: int) -> list[tuple[int, int, int, int]]:
    """(first row, end row, first output, end output) for each thread: tiles of `width` rows are shared out, or the outputs of a single tile."""
    rows = cut(m, width, macs)
    if len(rows) > 1:
        return [(first, end, 0, n) for first, end in rows]
    return [(0, m, first, end) for first, end in cut(n, 16, macs)]


@inner
def store_four(y, q, a, b, c, d):
    """y[q : q + 64] = four vectors."""
    store_floats(y, q, a)
    store_floats(y, q + 16, b)
    store_floats(y, q + 32, c)
    store_floats(y, q + 48, d)


@inner
def wide_step(sums, x, p, value):
    """One weight times 64 neighbours."""
    a, b = multiply_add(sums[0], value, load_floats(x, p)), multiply_add(sums[1], value, load_floats(x, p + 16))
    return a, b, multiply_add(sums[2], value, load_floats(x, p + 32)), multiply_add(sums[3], value, load_floats(x, p + 48))


@inner
def row_of_wide(x, values, columns, offset, y, q):
    """y[q : q + 64] = the weights of one output times a tile of 64 rows; sums start at `offset`."""
    sums = offset, offset, offset, offset
    for j in range(len(values)):
        sums = wide_step(sums, x, np.intp(columns[j]) * WIDE, values[j])
    store_four(y, q, sums[0], sums[1], sums[2], sums[3])


@inner
def row_of_narrow(x, values, columns, offset, y, q):
    """y[q : q + 16] = the weights of one output times a tile of 16 rows, four weights at a time."""
    a, b, c, d = offset, zero_floats(), zero_floats(), zero_floats()
    whole, one = len(values) // 4 * 4, np.float32(1)
    for j in range(0, whole, 4):
        a = multiply_add(a, values[j], load_floats(x, np.intp(columns[j]) * NARROW))
        b = multiply_add(b, values[j + 1], load_floats(x, np.intp(columns[j + 1]) * NARROW))
        c = multiply_add(c, values[j + 2], load_floats(x, np.intp(columns[j + 2]) * NARROW))
        d = multiply_add(d, values[j + 3], load_floats(x, np.intp(columns[j + 3]) * NARROW))
    for j in range(whole, len(values)):
        a = multiply_add(a, values[j], load_floats(x, np.intp(columns[j]) * NARROW))
    store_four(y, q, a, b, c, d)
    a = multiply_add(multiply_add(a, one, load_floats(y, q + 16)), one, load_floats(y, q + 32))
    store_floats(y, q, multiply_add(a, one, load_floats(y, q + 48)))


@inner
def multiply_csr_tiles(x, weight, bias, out, work_range, scratch):
    """`multiply_csr`, given `scratch`: (results of 16 outputs, a tile of x)."""
    (first_row, end_row, first_output, end_output), (values, columns, pointers), n = work_range, weight, out.shape[1]
    (y_first, y_end), (first, end), elements = aligned(scratch[0]), aligned(scratch[1]), out.reshape(-1)
    y, tile = scratch[0][y_first:y_end], scratch[1][first:end]
    width = len(tile) // x.shape[1] if x.shape[1] else NARROW
    for first in range(first_row, end_row, width):
        transpose_tile(x, first, width, tile)
        # Sixteen outputs at a time: their results, rows side by side, are then transposed into out, a cache line of outputs for each row.
        for row in range(first_output, end_output, 16):
            many = min(16, end_output - row)
            for i in range(many):
                start, end, offset = pointers[row + i], pointers[row + i + 1], repeat_float(bias, row + i)
                if width == WIDE:
                    row_of_wide(tile, values[start:end], columns[start:end], offset, y, i * width)
                else:
                    row_of_narrow(tile, values[start:end], columns[start:end], offset, y, i * width)
            transpose(y, width, many, min(width, end_row - first), elements[first * n + row :], n)


@compiled
def multiply_csr(x, weight, bias, out, width, work_range):
    """out (M, N) from x (M, K) in tiles of `width` rows. weight: (values, columns, pointers).

    work_range: (first row, end row, first output, end output).
    """
    scratch = np.empty(16 * width + 80, np.float32), np.empty(width * x.shape[1] + 16, np.float32)
    multiply_csr_tiles(x, weight, bias, out, work_range, scratch)


@compiled
def multiply_csr_rows(x, weight, bias, out, work_range):
    """out (M, N) from rows x (M, K): LANES inputs are fetched at a time. work_range: outputs (first, end)."""
    values, columns, pointers = weight
    for m in range(len(x)):
        line, here, end = x[m], out[m], np.intp(pointers[work_range[0]])
        for row in range(work_range[0], work_range[1]):
            j, end = end, np.intp(pointers[row + 1])
            total, y = zero_scaled(), bias[row]
            while j <= end - LANES:
                total = multiply_vectors(total, load_scaled(values, j), gather_scaled(line, columns, j))
                j += LANES
            while j < end:
                y += values[j] * line[columns[j]]
                j += 1
            here[row] = y + total_floats(total)


def sparse_linear(x: Tensor, weight: SparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    m, n = x.shape[0], weight.out_features
    out, macs = torch.empty(m, n), m * len(weight.views[0])
    operands = (whole(x), weight.views, bias_or_zeros(bias, n), out.numpy())
    if m < FEW:
        run(multiply_csr_rows, operands, cut(n, 16, macs))
    else:
        width = WIDE if m >= WIDE // 2 else NARROW
        run(multiply_csr, (*operands, width), tiles_of_rows(m, n, width, macs))
    return out


@inner
def add_pair(total, x, values, positions, n, g):
    """Two more weights of output n, times a tile of 16 rows."""
    place = np.int64(positions[n, g])
    total = multiply_add(total, values[n, g, 0], load_floats(x, (4 * g + (place & 3)) * NARROW))
    return multiply_add(total, values[n, g, 1], load_floats(x, (4 * g + (place >> 2)) * NARROW))


@inner
def pairs_of_four(x, weight, bias, n, last, y):
    """y[: 64] = outputs n ... n + 3 (none above `last`), times a tile of 16 rows, plus bias. weight: (values, positions)."""
    (values, positions), n1, n2, n3 = weight, min(n + 1, last), min(n + 2, last), min(n + 3, last)
    a, b, c, d = repeat_float(bias, n), repeat_float(bias, n1), repeat_float(bias, n2), repeat_float(bias, n3)
    for g in range(positions.shape[1]):
        a, b = add_pair(a, x, values, positions, n, g), add_pair(b, x, values, positions, n1, g)
        c, d = add_pair(c, x, values, positions, n2, g), add_pair(d, x, values, positions, n3, g)
    store_four(y, 0, a, b, c, d)


@inner
def multiply_nm_tiles(x, weight, bias, out, work_range, scratch):
    """`multiply_nm`, given `scratch`: (results of 16 outputs, a tile of x)."""
    (first_row, end_row, first_output, end_output), n, elements = work_range, out.shape[1], out.reshape(-1)
    (y_first, y_end), (first, end) = aligned(scratch[0]), aligned(scratch[1])
    y, tile = scratch[0][y_first:y_end], scratch[1][first:end]
    for first in range(first_row, end_row, NARROW):
        transpose_tile(x, first, NARROW, tile)
        for row in range(first_output, end_output, 16):
            many = min(16, end_output - row)
            for i in range(0, many, 4):
                pairs_of_four(tile, weight, bias, row + i, end_output - 1, y[i * NARROW :])
            transpose(y, NARROW, many, min(NARROW, end_row - first), elements[first * n + row :], n)


@compiled
def multiply_nm(x, weight, bias, out, work_range):
    """out (M, N) from x (M, K) in tiles of 16 rows. weight: (values, positions).

    work_range: (first row, end row, first output, end output).
    """
    scratch = np.empty(16 * NARROW + 16, np.float32), np.empty(NARROW * x.shape[1] + 16, np.float32)
    multiply_nm_tiles(x, weight, bias, out, work_range, scratch)


def nm_linear(x: Tensor, weight: NMWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n, (values, positions) = x.shape, weight.out_features, weight.views
    out = torch.empty(m, n)
    pairs = values.reshape(n, k // 4, 2), positions.reshape(n, k // 4)
    ranges = tiles_of_rows(m, n, NARROW, m * len(values))
    run(multiply_nm, (whole(x), pairs, bias_or_zeros(bias, n), out.numpy()), ranges)
    return out
