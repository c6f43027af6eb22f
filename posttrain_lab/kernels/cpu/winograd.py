"""Products of int8 matrices with half the multiplications, exact: Winograd's inner product.

    x1 * w1 + x2 * w2 = (x1 + w2) * (x2 + w1) - x1 * x2 - w1 * w2

What is subtracted belongs to a row of x or to a column of w alone: it is counted once, where they are packed. A sum of two int8 has
9 bits, so one instruction multiplies sums of 16 bits and adds two products in 32. Additions take the place of the multiplications that
are saved; a processor that adds in more places than it multiplies is faster so. Sums wrap around in int32 on the way, and back in the end.

Four inputs x1 x2 x3 x4 meet four weights w1 w2 w3 w4 of 2 * LANES columns in one step:

| where      | what lies there, int16                                                                             |
|------------|----------------------------------------------------------------------------------------------------|
| a row of x | x1 x3 x2 x4, step by step                                                                          |
| a panel    | w2 w4 of LANES columns, of the next LANES columns, then w1 w3 of both, step by step                |

Both are scratch: as many columns as stay in the second cache, and one block of rows. K is filled up with zeros.

Source: Winograd 1968, "A New Algorithm for Inner Product", IEEE Transactions on Computers C-17.
"""

import numpy as np

from .int8_microkernel import BLOCK, COLUMNS, copied, store_row
from .jit_cache import compiled, inner
from .simd import LANES, broadcast_pair, load, multiply_add_pairs, store, store_transposed, total, zero
from .simd_bytes import load_bytes
from .simd_pairs import add_words, even_bytes, odd_bytes, store_mixed
from .simd_scaling import load_sums

VECTOR = 4 * LANES  # int8 in a vector; K is filled up to whole ones
STEP = 4 * COLUMNS  # int16 of a panel for four inputs
DEPTH = 512  # inputs whose weights of a tile stay in the first cache while all rows of a block pass
SCRATCH = 1 << 18  # int16 of packed weights that stay in the second cache


@inner
def filled(k_size):
    """k_size, filled up to whole vectors."""
    return -(-k_size // VECTOR) * VECTOR


@inner
def split_row(x, start, k_size, codes, to, edge):
    """codes[to :] = the row x[start : start + k_size] as the table says, filled up; its sum of x1 * x2. edge: VECTOR int8."""
    whole, products = k_size // VECTOR * VECTOR, zero()
    for k in range(0, whole, VECTOR):
        quads = load_bytes(x, start + k)
        even, odd = even_bytes(quads), odd_bytes(quads)
        store_mixed(codes, to + k, even, odd)
        products = multiply_add_pairs(products, even, odd)
    if whole < k_size:
        for i in range(VECTOR):
            edge[i] = x[start + whole + i] if whole + i < k_size else 0
        even, odd = even_bytes(load_bytes(edge, 0)), odd_bytes(load_bytes(edge, 0))
        store_mixed(codes, to + whole, even, odd)
        products = multiply_add_pairs(products, even, odd)
    return total(products)


@inner
def pack_square(source, starts, k, square, panel, p, products):
    """VECTOR inputs of LANES columns, source[starts[c] + k :], into a panel from panel[p]; products + their w1 * w2."""
    store_transposed(square, 0, LANES, source, starts, 0, k)
    for step in range(LANES):
        quads = load_bytes(square, step * LANES)
        even, odd = even_bytes(quads), odd_bytes(quads)
        store(panel, p + step * STEP, odd)
        store(panel, p + step * STEP + 2 * COLUMNS, even)
        products = multiply_add_pairs(products, even, odd)
    return products


@inner
def pack_columns(w, column, n, k_size, panel, p, products, square, edge):
    """LANES columns of a panel from the rows w[column :] (N, K), the last one again where there is none.

    products[column :] = their sums of w1 * w2. edge: LANES * VECTOR int8.
    """
    starts, whole, sums = np.empty(LANES, np.int64), k_size // VECTOR * VECTOR, zero()
    for c in range(LANES):
        starts[c] = min(column + c, n - 1) * k_size
    for k in range(0, whole, VECTOR):
        sums = pack_square(w, starts, k, square, panel, p + k * COLUMNS, sums)
    if whole < k_size:
        for c in range(LANES):
            for i in range(VECTOR):
                edge[c * VECTOR + i] = w[starts[c] + whole + i] if whole + i < k_size else 0
            starts[c] = c * VECTOR
        sums = pack_square(edge, starts, 0, square, panel, p + whole * COLUMNS, sums)
    store(products, column, sums)


@inner
def add_row(t0, t1, x, r, odd0, odd1, even0, even1):
    """One row of the tile: COLUMNS sums, four inputs more."""
    even, odd = broadcast_pair(x, r), broadcast_pair(x, r + 2)
    t0 = multiply_add_pairs(t0, add_words(even, odd0), add_words(odd, even0))
    t1 = multiply_add_pairs(t1, add_words(even, odd1), add_words(odd, even1))
    return t0, t1


@inner
def load_row(sums, q):
    """The sums of a row, sums[q : q + COLUMNS]."""
    return load_sums(sums, q), load_sums(sums, q + LANES)


@inner
def four_rows(x, r, width, first, end, w, p, sums, q):
    """sums[q : q + 4 * COLUMNS] += four rows of x, `width` apart from x[r] on, times a panel from w[p]; inputs `first` to `end`."""
    second, third, fourth = q + COLUMNS, q + 2 * COLUMNS, q + 3 * COLUMNS
    a0, a1, b0, b1 = *load_row(sums, q), *load_row(sums, second)
    c0, c1, d0, d1 = *load_row(sums, third), *load_row(sums, fourth)
    p += first * COLUMNS
    for k in range(first, end, 4):
        odd0, odd1 = load(w, p), load(w, p + 2 * LANES)
        even0, even1 = load(w, p + 2 * COLUMNS), load(w, p + 2 * COLUMNS + 2 * LANES)
        a0, a1 = add_row(a0, a1, x, r + k, odd0, odd1, even0, even1)
        b0, b1 = add_row(b0, b1, x, r + width + k, odd0, odd1, even0, even1)
        c0, c1 = add_row(c0, c1, x, r + 2 * width + k, odd0, odd1, even0, even1)
        d0, d1 = add_row(d0, d1, x, r + 3 * width + k, odd0, odd1, even0, even1)
        p += STEP
    store_row(sums, q, a0, a1)
    store_row(sums, second, b0, b1)
    store_row(sums, third, c0, c1)
    store_row(sums, fourth, d0, d1)


@inner
def tile_sums(codes, rows, width, k_size, squares, w, p, sums):
    """sums = the tile for a block of rows, too large by the sums of w1 * w2; rows that fill up the last four may hold anything."""
    for row in range(rows):
        for column in range(COLUMNS):
            sums[row * COLUMNS + column] = -squares[row]
    for first in range(0, k_size, DEPTH):
        end = min(first + DEPTH, k_size)
        for row in range(0, rows, 4):
            four_rows(codes, row * width, width, first, end, w, p, sums, row * COLUMNS)


@compiled
def multiply_split(x, w, out, shape, part):
    """out (M, N) int32 from inputs x (M, K) int8 and rows w (N, K) int8, all flat. shape: (K, N); part: rows and tiles, each (first, end)."""
    k_size, n = shape
    width, start, end, last_tile = filled(k_size), part[0], part[1], part[3]
    group, fours = max(1, SCRATCH // (width * COLUMNS)), -(-min(BLOCK, end - start) // 4) * 4
    panels = np.empty(min(group, last_tile - part[2]) * width * COLUMNS, np.int16)
    codes, squares = np.empty(fours * width, np.int16), np.empty(fours, np.int32)
    products, sums = np.empty(last_tile * COLUMNS, np.int32), np.empty(fours * COLUMNS, np.int32)
    square, edge = np.empty(LANES * LANES, np.int32), np.empty(LANES * VECTOR, np.int8)
    for tile in range(part[2], last_tile, group):
        tiles = min(group, last_tile - tile)
        for t in range(2 * tiles):
            p = t // 2 * width * COLUMNS + t % 2 * 2 * LANES
            pack_columns(w, tile * COLUMNS + t * LANES, n, k_size, panels, p, products, square, edge)
        for first in range(start, end, BLOCK):
            rows = min(BLOCK, end - first)
            for row in range(rows):
                squares[row] = split_row(x, (first + row) * k_size, k_size, codes, row * width, edge)
            for t in range(tiles):
                column = (tile + t) * COLUMNS
                tile_sums(codes, rows, width, k_size, squares, panels, t * width * COLUMNS, sums)
                copied(sums, rows, products, out, first * n, n, column, min(COLUMNS, n - column))
