"""Products of int8 matrices with half the multiplications, exact: Winograd's inner product.

    x1 * w1 + x2 * w2 = (x1 + w2) * (x2 + w1) - x1 * x2 - w1 * w2

What is subtracted belongs to a row of x or to a column of w alone, so it is computed once, while they are packed, and not for each pair
of a row and a column. A sum of two int8 has 9 bits: one instruction multiplies sums of 16 bits and adds two products in 32. The saved
multiplications are replaced by additions, and processors add in more places than they multiply. Sums may wrap around in int32 on the
way, since they wrap back in the end.

Four inputs x1 x2 x3 x4 meet four weights w1 w2 w3 w4 of 2 * LANES columns in one step:

| where      | what lies there, int16                                                            |
|------------|-----------------------------------------------------------------------------------|
| a row of x | x1 x3 x2 x4, step by step                                                         |
| a panel    | w2 w4 of LANES columns, of the next LANES columns, then w1 w3 of both, step by step |

So one addition of a pair of inputs and a pair of weights makes (x1 + w2, x3 + w4), another one (x2 + w1, x4 + w3), and one multiply-add
of the two does both products. Rows and panels are scratch: as many columns as stay in the second-level cache, and one block of rows. K is
padded with zeros.

Source: Winograd 1968, "A New Algorithm for Inner Product", IEEE Transactions on Computers C-17.
"""

from typing import Any, NamedTuple

import numpy as np

from .int8_microkernel import BLOCK, COLUMNS, OutputTile, store_plain_sums, store_row
from .jit_cache import compiled, inner
from .simd import LANES, broadcast_pair, load, multiply_add_pairs, store, store_transposed, total, zero
from .simd_bytes import load_bytes
from .simd_pairs import add_words, even_bytes, odd_bytes, store_mixed
from .simd_scaling import load_sums

VECTOR = 4 * LANES  # int8 in a vector; K is padded to whole ones
STEP = 4 * COLUMNS  # int16 of a panel for four inputs
DEPTH = 512  # inputs whose weights of a tile stay in the first-level cache while all rows of a block pass
SCRATCH = 1 << 18  # int16 of packed weights that stay in the second-level cache


class SplitRows(NamedTuple):
    """A block of rows of x as the table says: `count` rows of `width` codes int16, and for each row the sum of its products x1 * x2.

    depth: inputs before the padding.
    """

    codes: Any
    products: Any
    count: int
    width: int
    depth: int


@inner
def padded(k_size):
    """k_size, padded to whole vectors."""
    return -(-k_size // VECTOR) * VECTOR


@inner
def split_row(x, start, k_size, codes, to, edge):
    """codes[to :] = the row x[start : start + k_size] as the table says, padded; returns its sum of x1 * x2. edge: VECTOR int8."""
    whole, products = k_size // VECTOR * VECTOR, zero()
    for k in range(0, whole, VECTOR):
        quads = load_bytes(x, start + k)
        even, odd = even_bytes(quads), odd_bytes(quads)  # x1 x3 and x2 x4 of each four
        store_mixed(codes, to + k, even, odd)
        products = multiply_add_pairs(products, even, odd)
    if whole < k_size:  # what is left of the row is padded in `edge`, and treated as above
        for i in range(VECTOR):
            edge[i] = x[start + whole + i] if whole + i < k_size else 0
        even, odd = even_bytes(load_bytes(edge, 0)), odd_bytes(load_bytes(edge, 0))
        store_mixed(codes, to + whole, even, odd)
        products = multiply_add_pairs(products, even, odd)
    return total(products)


@inner
def pack_square(source, starts, k, square, to, products):
    """VECTOR inputs of LANES columns, source[starts[c] + k :], to a panel: (array, index); returns products + their w1 * w2."""
    panel, p = to
    # A column's inputs lie side by side, in a panel the columns do: a square of fours of bytes is transposed in registers.
    store_transposed(square, 0, LANES, source, starts, 0, k)
    for step in range(LANES):
        quads = load_bytes(square, step * LANES)
        even, odd = even_bytes(quads), odd_bytes(quads)
        store(panel, p + step * STEP, odd)
        store(panel, p + step * STEP + 2 * COLUMNS, even)
        products = multiply_add_pairs(products, even, odd)
    return products


@inner
def pack_columns(w, shape, column, to, products, scratch):
    """LANES columns of a panel, to: (array, index), from the rows w[column :] of w (N, K), the last one again where there is none.

    shape: (K, N). products[column :] = their sums of w1 * w2. scratch: (LANES * LANES int32, LANES * VECTOR int8, LANES int64).
    """
    (k_size, n), (panel, p), (square, edge, starts) = shape, to, scratch
    whole, sums = k_size // VECTOR * VECTOR, zero()
    for c in range(LANES):
        starts[c] = min(column + c, n - 1) * k_size
    for k in range(0, whole, VECTOR):
        sums = pack_square(w, starts, k, square, (panel, p + k * COLUMNS), sums)
    if whole < k_size:
        for c in range(LANES):
            for i in range(VECTOR):
                edge[c * VECTOR + i] = w[starts[c] + whole + i] if whole + i < k_size else 0
            starts[c] = c * VECTOR
        sums = pack_square(edge, starts, 0, square, (panel, p + whole * COLUMNS), sums)
    store(products, column, sums)


@inner
def add_row(sums, x, r, odd, even):
    """One row of the tile, two vectors of sums: four inputs x[r :] more. odd: w2 w4, even: w1 w3, of two vectors of columns."""
    x13, x24 = broadcast_pair(x, r), broadcast_pair(x, r + 2)
    low = multiply_add_pairs(sums[0], add_words(x13, odd[0]), add_words(x24, even[0]))
    return low, multiply_add_pairs(sums[1], add_words(x13, odd[1]), add_words(x24, even[1]))


@inner
def load_row(sums, q):
    """The sums of a row, sums[q : q + COLUMNS]."""
    return load_sums(sums, q), load_sums(sums, q + LANES)


@inner
def four_rows(rows, row, depth, panel, sums):
    """sums[row * COLUMNS : (row + 4) * COLUMNS] += the rows `row` to `row + 3` times a panel, inputs depth[0] to depth[1]."""
    x, width, q, p = rows.codes, rows.width, row * COLUMNS, depth[0] * COLUMNS
    r = row * width
    # The sums so far, of the inputs before these, come back into registers.
    a, b = load_row(sums, q), load_row(sums, q + COLUMNS)
    c, d = load_row(sums, q + 2 * COLUMNS), load_row(sums, q + 3 * COLUMNS)
    for k in range(depth[0], depth[1], 4):
        # Four vectors of weights, w2 w4 and w1 w3 of two vectors of columns, serve four rows.
        odd = load(panel, p), load(panel, p + 2 * LANES)
        even = load(panel, p + 2 * COLUMNS), load(panel, p + 2 * COLUMNS + 2 * LANES)
        # For each row: four additions and two multiply-adds, where the plain product takes four multiply-adds.
        a = add_row(a, x, r + k, odd, even)
        b = add_row(b, x, r + width + k, odd, even)
        c = add_row(c, x, r + 2 * width + k, odd, even)
        d = add_row(d, x, r + 3 * width + k, odd, even)
        p += STEP
    store_row(sums, q, a[0], a[1])
    store_row(sums, q + COLUMNS, b[0], b[1])
    store_row(sums, q + 2 * COLUMNS, c[0], c[1])
    store_row(sums, q + 3 * COLUMNS, d[0], d[1])


@inner
def tile_sums(rows, panel, sums):
    """sums = the tile for a block of rows, too large by the sums of w1 * w2; rows that fill up the last four may hold anything."""
    # A row's own products are subtracted before anything is added, since they are the same for all columns.
    for row in range(rows.count):
        for column in range(COLUMNS):
            sums[row * COLUMNS + column] = -rows.products[row]
    # All rows meet the same DEPTH inputs of the panel, then the next ones: this part of the panel stays in the first-level cache.
    for first in range(0, rows.depth, DEPTH):
        for row in range(0, rows.count, 4):
            four_rows(rows, row, (first, min(first + DEPTH, rows.depth)), panel, sums)


@inner
def multiply_panels(operands, out, shape, work_range, memory, scratch):
    """`multiply_split`, given `memory`: (panels, products, codes, squares, sums), and `scratch` for `pack_columns`. operands: (x, w)."""
    (x, w), (k_size, n), (start, end, first_tile, end_tile) = operands, shape, work_range
    panels, products, codes, squares, sums = memory
    width, size = padded(k_size), padded(k_size) * COLUMNS
    group = len(panels) // size  # panels that are packed at a time: as many as stay in the cache
    for tile in range(first_tile, end_tile, group):
        tiles = min(group, end_tile - tile)
        for t in range(2 * tiles):  # each in two halves of LANES columns
            half = panels, t // 2 * size + t % 2 * 2 * LANES
            pack_columns(w, shape, tile * COLUMNS + t * LANES, half, products, scratch)
        for first in range(start, end, BLOCK):
            # Rows are packed again for the next panels, which costs little beside the products.
            rows = SplitRows(codes, squares, min(BLOCK, end - first), width, k_size)
            for row in range(rows.count):
                squares[row] = split_row(x, (first + row) * k_size, k_size, codes, row * width, scratch[1])
            # What belongs to the rows is in the sums already; what belongs to the columns is subtracted on the way out.
            for t in range(tiles):
                tile_sums(rows, panels[t * size :], sums)
                column = (tile + t) * COLUMNS
                store_plain_sums(sums, rows.count, products, OutputTile(out, first * n, n, column, min(COLUMNS, n - column)))


@compiled
def multiply_split(x, w, out, shape, work_range):
    """out (M, N) int32 from inputs x (M, K) int8 and rows w (N, K) int8, all flat. shape: (K, N).

    work_range: (first row, end row, first tile, end tile).
    """
    (start, end, first_tile, end_tile), width = work_range, padded(shape[0])
    group, fours = max(1, SCRATCH // (width * COLUMNS)), -(-min(BLOCK, end - start) // 4) * 4
    memory = (
        np.empty(min(group, end_tile - first_tile) * width * COLUMNS, np.int16),
        np.empty(end_tile * COLUMNS, np.int32),
        np.empty(fours * width, np.int16),
        np.empty(fours, np.int32),
        np.empty(fours * COLUMNS, np.int32),
    )
    scratch = np.empty(LANES * LANES, np.int32), np.empty(LANES * VECTOR, np.int8), np.empty(LANES, np.int64)
    multiply_panels((x, w), out, shape, work_range, memory, scratch)
