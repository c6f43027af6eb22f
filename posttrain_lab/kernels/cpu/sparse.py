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
def transposed(source, step, rows, columns, target, to):
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
def aligned_scratch(size):
    """Scratch for `size` float32 that starts at a line of the cache: a vector that lies in two lines is loaded twice."""
    whole = np.empty(size + 16, np.float32)
    skip = (-whole.ctypes.data // 4) % 16
    return whole[skip : skip + size]


@inner
def transpose_tile(x, first, width, tile):
    """tile[k * width + m] = x[first + m, k]; rows of x and columns that are missing are 0. Whole lines of the cache at a time."""
    k, rows, numbers = x.shape[1], min(width, len(x) - first), x.reshape(-1)
    for i in range(len(tile) if rows * k < len(tile) else 0):
        tile[i] = 0
    for start in range(0, k, 16):
        transposed(numbers[first * k + start :], k, rows, min(16, k - start), tile[start * width :], width)


def tiles_of_rows(m: int, n: int, width: int, macs: int) -> list[tuple[int, int, int, int]]:
    """(first row, end row, first output, end output) for each thread: tiles of `width` rows are shared out, a single tile by outputs."""
    rows = cut(m, width, macs)
    if len(rows) > 1:
        return [(*part, 0, n) for part in rows]
    return [(0, m, *part) for part in cut(n, 16, macs)]


@inner
def store_four(y, q, a, b, c, d):
    """y[q : q + 64] = four vectors."""
    store_floats(y, q, a)
    store_floats(y, q + 16, b)
    store_floats(y, q + 32, c)
    store_floats(y, q + 48, d)


@inner
def wide_step(a, b, c, d, x, p, value):
    """One weight times 64 neighbours."""
    a, b = multiply_add(a, value, load_floats(x, p)), multiply_add(b, value, load_floats(x, p + 16))
    return a, b, multiply_add(c, value, load_floats(x, p + 32)), multiply_add(d, value, load_floats(x, p + 48))


@inner
def row_of_wide(x, values, columns, offset, y, q):
    """y[q : q + 64] = the weights of one output times a tile of 64 rows; sums start at `offset`."""
    a, b, c, d = offset, offset, offset, offset
    for j in range(len(values)):
        a, b, c, d = wide_step(a, b, c, d, x, np.intp(columns[j]) * WIDE, values[j])
    store_four(y, q, a, b, c, d)


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


@compiled
def multiply_csr(x, values, columns, pointers, bias, out, width, part):
    """out (M, N) from x (M, K) in tiles of `width` rows; part: rows and outputs, each (first, end)."""
    y, n, numbers = aligned_scratch(16 * width + 64), out.shape[1], out.reshape(-1)
    tile = aligned_scratch(width * x.shape[1])
    for first in range(part[0], part[1], width):
        transpose_tile(x, first, width, tile)
        for row in range(part[2], part[3], 16):
            many = min(16, part[3] - row)
            for i in range(many):
                start, end, offset = pointers[row + i], pointers[row + i + 1], repeat_float(bias, row + i)
                if width == WIDE:
                    row_of_wide(tile, values[start:end], columns[start:end], offset, y, i * width)
                else:
                    row_of_narrow(tile, values[start:end], columns[start:end], offset, y, i * width)
            transposed(y, width, many, min(width, part[1] - first), numbers[first * n + row :], n)


@compiled
def multiply_csr_rows(x, values, columns, pointers, bias, out, part):
    """out (M, N) from rows x (M, K): LANES inputs are fetched at a time; part: outputs (first, end)."""
    for m in range(len(x)):
        line, here, end = x[m], out[m], np.intp(pointers[part[0]])
        for row in range(part[0], part[1]):
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
    m, n, (values, columns, pointers) = x.shape[0], weight.out_features, weight.views
    out, macs = torch.empty(m, n), m * len(values)
    operands = (whole(x), values, columns, pointers, bias_or_zeros(bias, n), out.numpy())
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
def pairs_of_four(x, values, positions, bias, n, last, y, q):
    """y[q : q + 64] = outputs n ... n + 3 (none above `last`), times a tile of 16 rows, plus bias."""
    n1, n2, n3 = min(n + 1, last), min(n + 2, last), min(n + 3, last)
    a, b, c, d = repeat_float(bias, n), repeat_float(bias, n1), repeat_float(bias, n2), repeat_float(bias, n3)
    for g in range(positions.shape[1]):
        a, b = add_pair(a, x, values, positions, n, g), add_pair(b, x, values, positions, n1, g)
        c, d = add_pair(c, x, values, positions, n2, g), add_pair(d, x, values, positions, n3, g)
    store_four(y, q, a, b, c, d)


@compiled
def multiply_pairs(x, values, positions, bias, out, part):
    """out (M, N) from x (M, K) in tiles of 16 rows; part: rows and outputs, each (first, end)."""
    y, n, numbers = aligned_scratch(16 * NARROW), out.shape[1], out.reshape(-1)
    tile = aligned_scratch(NARROW * x.shape[1])
    for first in range(part[0], part[1], NARROW):
        transpose_tile(x, first, NARROW, tile)
        for row in range(part[2], part[3], 16):
            many = min(16, part[3] - row)
            for i in range(0, many, 4):
                pairs_of_four(tile, values, positions, bias, row + i, part[3] - 1, y, i * NARROW)
            transposed(y, NARROW, many, min(NARROW, part[1] - first), numbers[first * n + row :], n)


def nm_linear(x: Tensor, weight: NMWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n, (values, positions) = x.shape, weight.out_features, weight.views
    out = torch.empty(m, n)
    weights = values.reshape(n, k // 4, 2), positions.reshape(n, k // 4), bias_or_zeros(bias, n)
    run(multiply_pairs, (whole(x), *weights, out.numpy()), tiles_of_rows(m, n, NARROW, m * len(values)))
    return out
