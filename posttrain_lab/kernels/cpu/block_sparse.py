"""block_sparse_linear: whole blocks of weights, so that the inputs of a block are neighbours too.

Blocks of 16 or 32 outputs fill vectors: six rows of x share each vector of weights, x stays as it lies in memory, and 6 x 16 sums stay
in registers (twelve of the sixteen of AVX2). Smaller blocks use tiles of x as `sparse.py` does, where a vector holds sixteen rows.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.sparse_weights import BlockSparseWeight

from .jit_cache import compiled, inner
from .simd import LANES
from .simd_floats import load_floats, multiply_add, multiply_vectors, repeat_float, store_floats, zero_floats
from .sparse import NARROW, aligned_scratch, store_four, transpose_tile, transposed
from .threads import cut, run, whole

ROWS, WIDTH = 6, 16  # of a tile in registers
NEAR = 96  # rows of x that stay in the second cache while all weights pass


@inner
def six_products(sums, x, p, k, w):
    """One input of six rows, k apart, times its weights for sixteen outputs."""
    a, b, c, d, e, f = sums
    a, b = multiply_vectors(a, repeat_float(x, p), w), multiply_vectors(b, repeat_float(x, p + k), w)
    c, d = multiply_vectors(c, repeat_float(x, p + 2 * k), w), multiply_vectors(d, repeat_float(x, p + 3 * k), w)
    return a, b, c, d, multiply_vectors(e, repeat_float(x, p + 4 * k), w), multiply_vectors(f, repeat_float(x, p + 5 * k), w)


@inner
def six_rows(x, p, k, values, size, v, columns, start, end, offset, y, q, n):
    """y[q + r * n : ... + 16] = six rows of x from x[p] times the blocks `start` to `end`, sixteen outputs from v; sums start at `offset`."""
    sums = offset, offset, offset, offset, offset, offset
    for j in range(start, end):
        r, w = p + np.intp(columns[j]) * size, j * size * size + v
        for i in range(size):
            sums = six_products(sums, x, r + i, k, load_floats(values, w + i * size))
    a, b, c, d, e, f = sums
    store_floats(y, q, a)
    store_floats(y, q + n, b)
    store_floats(y, q + 2 * n, c)
    store_floats(y, q + 3 * n, d)
    store_floats(y, q + 4 * n, e)
    store_floats(y, q + 5 * n, f)


@compiled
def multiply_wide_blocks(x, values, size, columns, pointers, bias, out, part):
    """out (M, N) from rows x (M, K), M >= 6, K and the bias filled up to whole blocks; part: block rows (first, end)."""
    (m, n), k, y = out.shape, x.shape[1], np.empty(ROWS * WIDTH, np.float32)
    inputs, numbers = x.reshape(-1), out.reshape(-1)
    for near in range(0, m, NEAR):
        for row in range(part[0], part[1]):
            start, end = np.intp(pointers[row]), np.intp(pointers[row + 1])
            for v in range(0, min(size, n - row * size), WIDTH):
                column = row * size + v
                offset, width = load_floats(bias, column), min(WIDTH, n - column)
                for first in range(near, min(near + NEAR, m), ROWS):
                    top = min(first, m - ROWS)  # a last tile that would stick out is moved back: some sums are computed twice
                    p, at = top * k, top * n + column
                    if width == WIDTH:
                        six_rows(inputs, p, k, values, size, v, columns, start, end, offset, numbers, at, n)
                        continue
                    six_rows(inputs, p, k, values, size, v, columns, start, end, offset, y, 0, WIDTH)
                    for r in range(ROWS):
                        for i in range(width):
                            numbers[at + r * n + i] = y[r * WIDTH + i]


@inner
def four_products(a, b, c, d, values, q, line):
    """One input, 16 rows of it, times the weights of four outputs."""
    a, b = multiply_add(a, values[q], line), multiply_add(b, values[q + 1], line)
    return a, b, multiply_add(c, values[q + 2], line), multiply_add(d, values[q + 3], line)


@inner
def four_outputs(x, size, values, v, columns, start, end, bias, at, y):
    """y[i * 16 : i * 16 + 16] for four outputs i of a block row, whose first value in a block is at v, and whose bias is from `at`."""
    a, b, c, d = repeat_float(bias, at), repeat_float(bias, at + 1), repeat_float(bias, at + 2), repeat_float(bias, at + 3)
    e, f, g, h = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    for j in range(start, end):
        p, q = np.intp(columns[j]) * size * NARROW, j * size * size + v
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
def multiply_blocks(x, values, size, columns, pointers, bias, out, part):
    """out (M, N) from x (M, K) in tiles of 16 rows, bias filled up to whole blocks; part: block rows (first, end)."""
    y, n, numbers = aligned_scratch(4 * NARROW), out.shape[1], out.reshape(-1)
    tile = aligned_scratch(-(-x.shape[1] // size) * size * NARROW)
    for first in range(0, len(out), NARROW):
        transpose_tile(x, first, NARROW, tile)
        rows = min(NARROW, len(out) - first)
        for row in range(part[0], part[1]):
            start, end = np.intp(pointers[row]), np.intp(pointers[row + 1])
            for column in range(row * size, min((row + 1) * size, n), 4):
                four_outputs(tile, size, values, column - row * size, columns, start, end, bias, column, y)
                transposed(y, NARROW, min(4, n - column), rows, numbers[first * n + column :], n)


def block_sparse_linear(x: Tensor, weight: BlockSparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n, size, (values, columns, pointers) = x.shape, weight.out_features, weight.block, weight.views
    rows = len(pointers) - 1
    offsets = np.zeros(rows * size, np.float32)
    if bias is not None:
        offsets[:n] = bias.detach().numpy()
    weights, parts = (values, size, columns, pointers, offsets), cut(rows, 1, m * len(values))
    if size < WIDTH:
        out = torch.empty(m, n)
        run(multiply_blocks, (whole(x), *weights, out.numpy()), parts)
        return out
    lacking = max(ROWS - m, 0) if m else 0
    out = torch.empty(m + lacking, n)
    x = F.pad(x, (0, -k % size, 0, lacking)) if lacking or k % size else x
    run(multiply_wide_blocks, (whole(x), *weights, out.numpy()), parts)
    return out[:m].clone() if lacking else out
