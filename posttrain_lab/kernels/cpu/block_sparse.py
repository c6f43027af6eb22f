"""block_sparse_linear: whole blocks of weights, so that the inputs of a block are neighbours too.

Blocks of 16 or 32 outputs fill vectors: six rows of x share each vector of weights, x stays as it lies in memory, and 6 x 16 sums stay
in registers (twelve of the sixteen of AVX2). Smaller blocks use tiles of x as `sparse.py` does, where a vector holds sixteen rows.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.sparse_weights import BlockSparseWeight

from .jit_cache import compiled, inner
from .simd import LANES
from .simd_floats import load_floats, multiply_add, multiply_vectors, repeat_float, store_floats, zero_floats
from .sparse import NARROW, aligned, store_four, transpose, transpose_tile
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


class BlockRow(NamedTuple):
    """The blocks start <= j < end of one row of blocks: values[j * size * size :] of the inputs from columns[j] * size on."""

    values: Any
    columns: Any
    size: int
    start: Any  # np.intp
    end: Any


@inner
def six_rows(rows, blocks, v, offset, to):
    """Six rows times a row of blocks, sixteen outputs from the v-th on; sums start at `offset`.

    rows: (x, p, k): row r is x[p + r * k :]. to: (y, q, n): its results are y[q + r * n :].
    """
    (x, p, k), (y, q, n), (values, columns, size, start, end) = rows, to, blocks
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


@inner
def column_of_six(x, blocks, v, column, bias, to):
    """All rows of x times sixteen outputs of a row of blocks, from the v-th on; `column`: where they are in out.

    to: (out, first row, end row, scratch for one tile).
    """
    out, begin, end, y = to
    (m, n), k, inputs, elements = out.shape, x.shape[1], x.reshape(-1), out.reshape(-1)
    offset, width = load_floats(bias, column), min(WIDTH, n - column)
    for first in range(begin, end, ROWS):
        top = min(first, m - ROWS)  # a last tile that would stick out is moved back: some sums are computed twice
        at = top * n + column
        if width == WIDTH:
            six_rows((inputs, top * k, k), blocks, v, offset, (elements, at, n))
            continue
        # The last outputs do not fill a vector: by way of scratch.
        six_rows((inputs, top * k, k), blocks, v, offset, (y, 0, WIDTH))
        for r in range(ROWS):
            for i in range(width):
                elements[at + r * n + i] = y[r * WIDTH + i]


@compiled
def multiply_wide_blocks(x, weight, size, bias, out, work_range):
    """out (M, N) from rows x (M, K), M >= 6, K and the bias padded to whole blocks. weight: (values, columns, pointers).

    work_range: rows of blocks (first, end).
    """
    (values, columns, pointers), (m, n), y = weight, out.shape, np.empty(ROWS * WIDTH, np.float32)
    for near in range(0, m, NEAR):
        for row in range(work_range[0], work_range[1]):
            blocks = BlockRow(values, columns, size, np.intp(pointers[row]), np.intp(pointers[row + 1]))
            for v in range(0, min(size, n - row * size), WIDTH):
                column_of_six(x, blocks, v, row * size + v, bias, (out, near, min(near + NEAR, m), y))


@inner
def four_products(sums, values, q, line):
    """One input, 16 rows of it, times the weights of four outputs."""
    a, b = multiply_add(sums[0], values[q], line), multiply_add(sums[1], values[q + 1], line)
    return a, b, multiply_add(sums[2], values[q + 2], line), multiply_add(sums[3], values[q + 3], line)


@inner
def four_outputs(x, blocks, v, bias, at, y):
    """y[i * 16 : i * 16 + 16] for four outputs i of a row of blocks, from the v-th on; their bias is from `at`."""
    values, columns, size, start, end = blocks
    sums = repeat_float(bias, at), repeat_float(bias, at + 1), repeat_float(bias, at + 2), repeat_float(bias, at + 3)
    others = zero_floats(), zero_floats(), zero_floats(), zero_floats()
    for j in range(start, end):
        p, q = np.intp(columns[j]) * size * NARROW, j * size * size + v
        for _ in range(0, size, 2):
            sums = four_products(sums, values, q, load_floats(x, p))
            q, p = q + size, p + NARROW
            if LANES == 16:  # wide registers: twice as many sums, so that none waits for the one before
                others = four_products(others, values, q, load_floats(x, p))
            else:
                sums = four_products(sums, values, q, load_floats(x, p))
            q, p = q + size, p + NARROW
    store_four(y, 0, sums[0], sums[1], sums[2], sums[3])
    one = np.float32(1)
    a, b = multiply_add(others[0], one, load_floats(y, 0)), multiply_add(others[1], one, load_floats(y, 16))
    store_four(y, 0, a, b, multiply_add(others[2], one, load_floats(y, 32)), multiply_add(others[3], one, load_floats(y, 48)))


@inner
def multiply_tiles(x, weight, bias, out, work_range, scratch):
    """`multiply_blocks`, given `scratch`: (results of four outputs, a tile of x). weight: (values, columns, pointers, size)."""
    (values, columns, pointers, size), (y_first, y_end), (first, end) = weight, aligned(scratch[0]), aligned(scratch[1])
    y, tile, n, elements = scratch[0][y_first:y_end], scratch[1][first:end], out.shape[1], out.reshape(-1)
    for first in range(0, len(out), NARROW):
        transpose_tile(x, first, NARROW, tile)
        rows = min(NARROW, len(out) - first)
        for row in range(work_range[0], work_range[1]):
            blocks = BlockRow(values, columns, size, np.intp(pointers[row]), np.intp(pointers[row + 1]))
            for column in range(row * size, min((row + 1) * size, n), 4):
                four_outputs(tile, blocks, column - row * size, bias, column, y)
                transpose(y, NARROW, min(4, n - column), rows, elements[first * n + column :], n)


@compiled
def multiply_blocks(x, weight, size, bias, out, work_range):
    """out (M, N) from x (M, K) in tiles of 16 rows, bias padded to whole blocks; the rest as in `multiply_wide_blocks`."""
    scratch = np.empty(4 * NARROW + 16, np.float32), np.empty(-(-x.shape[1] // size) * size * NARROW + 16, np.float32)
    multiply_tiles(x, (weight[0], weight[1], weight[2], size), bias, out, work_range, scratch)


def block_sparse_linear(x: Tensor, weight: BlockSparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n, size, (values, _, pointers) = x.shape, weight.out_features, weight.block, weight.views
    rows = len(pointers) - 1
    offsets = np.zeros(rows * size, np.float32)
    if bias is not None:
        offsets[:n] = bias.detach().numpy()
    operands, ranges = (weight.views, size, offsets), cut(rows, 1, m * len(values))
    if size < WIDTH:
        out = torch.empty(m, n)
        run(multiply_blocks, (whole(x), *operands, out.numpy()), ranges)
        return out
    lacking = max(ROWS - m, 0) if m else 0
    out = torch.empty(m + lacking, n)
    x = F.pad(x, (0, -k % size, 0, lacking)) if lacking or k % size else x
    run(multiply_wide_blocks, (whole(x), *operands, out.numpy()), ranges)
    return out[:m].clone() if lacking else out
