"""sparse_linear, block_sparse_linear and nm_linear: float products with the weights that are left.

x is turned into tiles [K][W] of W rows, so that one weight meets W neighbours in memory: a weight is loaded once, multiplied
with W / 16 vectors, and the sums stay in registers. With few rows the weights stay and single inputs are fetched instead.
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.kernels.sparse_weights import BlockSparseWeight, NMWeight, SparseWeight

from .linear import bias_or_zeros
from .simd import LANES
from .simd_floats import gather_floats, load_floats, multiply_add, multiply_vectors, store_floats, total_floats, zero_floats
from .threads import compiled, cut, flat, inner, run

WIDE, NARROW, FEW = 64, 16, 4  # rows of a tile; with fewer rows than FEW there are no tiles


@compiled
def turn(x, tiles, width, columns, part):
    """tiles[t][k][m] = x[t * width + m, k] for the tiles of `part`; sixteen k at a time stay in the cache."""
    for tile in range(part[0], part[1]):
        rows = min(width, len(x) - tile * width)
        for start in range(0, x.shape[1], 16):
            many, at = min(16, x.shape[1] - start), (tile * columns + start) * width
            block = tiles[at : at + many * width]
            for m in range(rows):
                line = x[tile * width + m, start : start + many]
                for k in range(many):
                    block[k * width + m] = line[k]


def tiled(x: Tensor, width: int, columns: int) -> np.ndarray:
    """x (M, K) -> [ceil(M / width)][columns][width], flat; rows and columns that are missing are 0.

    Not by torch: its threads spin for a while after their work, on the cores that ours are about to use.
    """
    many = -(-len(x) // width)
    full = len(x) % width == 0 and columns == x.shape[1]
    tiles = (np.empty if full else np.zeros)(many * columns * width, np.float32)
    run(turn, (x.contiguous().numpy(), tiles, width, columns), cut(many, 1, 32 * x.numel()))
    return tiles


@inner
def written(y, many, width, bias, out, first, row):
    """out[first + m, row + i] = y[i * width + m] + bias for `many` outputs i and the rows m of the tile that exist."""
    for m in range(min(width, len(out) - first)):
        for i in range(many):
            out[first + m, row + i] = y[i * width + m] + bias[row + i]


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
def row_of_wide(x, base, values, columns, start, end, y, q):
    """y[q : q + 64] = the weights of one output times a tile of 64 rows."""
    a, b, c, d = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    for j in range(start, end):
        a, b, c, d = wide_step(a, b, c, d, x, base + columns[j] * WIDE, values[j])
    store_four(y, q, a, b, c, d)


@inner
def row_of_narrow(x, base, values, columns, start, end, y, q):
    """y[q : q + 16] = the weights of one output times a tile of 16 rows, four weights at a time."""
    a, b, c, d = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    whole = start + (end - start) // 4 * 4
    for j in range(start, whole, 4):
        a = multiply_add(a, values[j], load_floats(x, base + columns[j] * NARROW))
        b = multiply_add(b, values[j + 1], load_floats(x, base + columns[j + 1] * NARROW))
        c = multiply_add(c, values[j + 2], load_floats(x, base + columns[j + 2] * NARROW))
        d = multiply_add(d, values[j + 3], load_floats(x, base + columns[j + 3] * NARROW))
    for j in range(whole, end):
        a = multiply_add(a, values[j], load_floats(x, base + columns[j] * NARROW))
    one = np.float32(1)
    store_four(y, q, a, b, c, d)
    a = multiply_add(multiply_add(a, one, load_floats(y, q + 16)), one, load_floats(y, q + 32))
    store_floats(y, q, multiply_add(a, one, load_floats(y, q + 48)))


@compiled
def multiply_csr(x, values, columns, pointers, bias, out, width, k, part):
    """out (M, N) from tiles x of `width` rows; part: outputs (first, end)."""
    y = np.empty(16 * width + 64, np.float32)
    for first in range(0, len(out), width):
        for row in range(part[0], part[1], 16):
            many = min(16, part[1] - row)
            for i in range(many):
                start, end = pointers[row + i], pointers[row + i + 1]
                if width == WIDE:
                    row_of_wide(x, first * k, values, columns, start, end, y, i * width)
                else:
                    row_of_narrow(x, first * k, values, columns, start, end, y, i * width)
            written(y, many, width, bias, out, first, row)


@compiled
def multiply_csr_rows(x, values, columns, pointers, bias, out, part):
    """out (M, N) from rows x (M, K): sixteen inputs are fetched at a time; part: outputs (first, end)."""
    for m in range(len(x)):
        line = x[m]
        for row in range(part[0], part[1]):
            start, end = np.int64(pointers[row]), np.int64(pointers[row + 1])
            total, j = zero_floats(), start
            while j + 16 <= end:
                total = multiply_vectors(total, load_floats(values, j), gather_floats(line, columns, j))
                j += 16
            y = total_floats(total)
            while j < end:
                y += values[j] * line[columns[j]]
                j += 1
            out[m, row] = y + bias[row]


def sparse_linear(x: Tensor, weight: SparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n = x.shape, len(weight.row_pointers) - 1
    out, parts = torch.empty(m, n), cut(n, 16, m * len(weight.values))
    operands = (flat(weight.values), flat(weight.columns), flat(weight.row_pointers), bias_or_zeros(bias, n), out.numpy())
    if m < FEW:
        run(multiply_csr_rows, (x.contiguous().numpy(), *operands), parts)
    else:
        width = WIDE if m > NARROW else NARROW
        run(multiply_csr, (tiled(x, width, k), *operands, width, k), parts)
    return out


@inner
def four_products(a, b, c, d, values, q, line):
    """One input, 16 rows of it, times the weights of four outputs."""
    a, b = multiply_add(a, values[q], line), multiply_add(b, values[q + 1], line)
    return a, b, multiply_add(c, values[q + 2], line), multiply_add(d, values[q + 3], line)


@inner
def four_outputs(x, base, size, values, v, columns, start, end, y):
    """y[i * 16 : i * 16 + 16] for four outputs i of a block row, whose first value in a block is at v."""
    a, b, c, d = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    e, f, g, h = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    for j in range(start, end):
        p, q = base + columns[j] * size * NARROW, j * size * size + v
        for _ in range(0, size, 2):
            a, b, c, d = four_products(a, b, c, d, values, q, load_floats(x, p))
            q, p = q + size, p + NARROW
            if LANES == 16:  # wide registers: twice as many sums, so that none waits for the one before
                e, f, g, h = four_products(e, f, g, h, values, q, load_floats(x, p))
            else:
                a, b, c, d = four_products(a, b, c, d, values, q, load_floats(x, p))
            q, p = q + size, p + NARROW
    store_four(y, 0, a, b, c, d)
    one = np.float32(1)
    a, b = multiply_add(e, one, load_floats(y, 0)), multiply_add(f, one, load_floats(y, 16))
    store_four(y, 0, a, b, multiply_add(g, one, load_floats(y, 32)), multiply_add(h, one, load_floats(y, 48)))


@compiled
def multiply_blocks(x, values, size, columns, pointers, bias, out, k, part):
    """out (M, N) from tiles x of 16 rows, K filled up to whole blocks; part: block rows (first, end)."""
    y, n = np.empty(4 * NARROW, np.float32), out.shape[1]
    for first in range(0, len(out), NARROW):
        for row in range(part[0], part[1]):
            for v in range(0, min(size, n - row * size), 4):
                four_outputs(x, first * k, size, values, v, columns, pointers[row], pointers[row + 1], y)
                written(y, min(4, n - row * size - v), NARROW, bias, out, first, row * size + v)


def block_sparse_linear(x: Tensor, weight: BlockSparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    m, n, size = len(x), weight.out_features, weight.block
    k = -(-weight.in_features // size) * size
    out, places = torch.empty(m, n), (flat(weight.columns), flat(weight.row_pointers))
    operands = (tiled(x, NARROW, k), flat(weight.values), size, *places, bias_or_zeros(bias, n), out.numpy(), k)
    run(multiply_blocks, operands, cut(len(weight.row_pointers) - 1, 1, m * weight.values.numel()))
    return out


@inner
def add_pair(total, x, base, values, positions, n, g):
    """Two more weights of output n, times a tile of 16 rows."""
    place = np.int64(positions[n, g])
    total = multiply_add(total, values[n, g, 0], load_floats(x, base + (4 * g + (place & 3)) * NARROW))
    return multiply_add(total, values[n, g, 1], load_floats(x, base + (4 * g + (place >> 2)) * NARROW))


@inner
def pairs_of_four(x, base, values, positions, n, last, y, q):
    """y[q : q + 64] = outputs n ... n + 3 (none above `last`), times a tile of 16 rows."""
    a, b, c, d = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    n1, n2, n3 = min(n + 1, last), min(n + 2, last), min(n + 3, last)
    for g in range(positions.shape[1]):
        a, b = add_pair(a, x, base, values, positions, n, g), add_pair(b, x, base, values, positions, n1, g)
        c, d = add_pair(c, x, base, values, positions, n2, g), add_pair(d, x, base, values, positions, n3, g)
    store_four(y, q, a, b, c, d)


@compiled
def multiply_pairs(x, values, positions, bias, out, part):
    """out (M, N) from tiles x of 16 rows; part: outputs (first, end)."""
    k, y = 4 * positions.shape[1], np.empty(16 * NARROW, np.float32)
    for first in range(0, len(out), NARROW):
        for row in range(part[0], part[1], 16):
            many = min(16, part[1] - row)
            for i in range(0, many, 4):
                pairs_of_four(x, first * k, values, positions, row + i, part[1] - 1, y, i * NARROW)
            written(y, many, NARROW, bias, out, first, row)


def nm_linear(x: Tensor, weight: NMWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n = x.shape, len(weight.positions)
    out = torch.empty(m, n)
    operands = (tiled(x, NARROW, k), weight.values.contiguous().numpy(), weight.positions.contiguous().numpy())
    run(multiply_pairs, (*operands, bias_or_zeros(bias, n), out.numpy()), cut(n, 16, m * weight.values.numel()))
    return out
