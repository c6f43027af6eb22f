"""What panels leave out is added here: the rest of each pair of weights that was too large for 16 bits (see `../panel_layout.py`).

Few weights have a rest, each output at places of its own. One rest meets all rows of a block at once, so the block's inputs are
transposed: four k in an int32, and for each four k the rows side by side.
"""

import numpy as np

from .int8_microkernel import BLOCK, COLUMNS
from .jit_cache import inner
from .simd import LANES, add_transposed, store, store_transposed, zero
from .simd_bytes import copy_quad, load_bytes, multiply_add_quads, repeat_quad

NARROW = 2 * LANES  # rows of a block that has few


@inner
def compensation_of(corrections, n):
    """What shifted inputs add to the sums of each of n outputs."""
    return corrections[n + 1 : 2 * n + 1]


@inner
def side_by_side(rows):
    """How many rows of a transposed block lie side by side: all of a block, or NARROW."""
    return BLOCK if rows > NARROW else NARROW


@inner
def transpose_block(codes, starts, rows, offsets, length, corrections, n, transposed):
    """transposed[q * side_by_side + row] = the q-th four codes of a row (as in `int8_microkernel.four_rows`), if there is any rest."""
    if len(corrections) == 2 * n + 1:
        return
    beside, many, q = side_by_side(rows), length // 4, 0
    for offset in offsets:
        if rows >= LANES and many >= LANES:  # squares; a last one that would stick out is moved back
            for row in range(0, rows, LANES):
                row = min(row, rows - LANES)
                for k in range(0, many, LANES):
                    k = min(k, many - LANES)
                    store_transposed(transposed, (q + k) * beside + row, beside, codes, starts, row, offset + 4 * k)
        else:
            for k in range(many):
                for row in range(rows):
                    copy_quad(transposed, (q + k) * beside + row, codes, starts[row] + offset + 4 * k)
        q += many


@inner
def input_of(entry):
    """The k of an entry. Unsigned: Numba would else ask at every use whether it counts from the end."""
    return np.uint32(entry) >> np.uint32(8)


@inner
def value_of(entry):
    """The rest of an entry, a signed byte."""
    return np.int32(np.int8(entry))


@inner
def add_to_row(codes, start, corrections, n, column, width, sums, q, lines):
    """sums[q : q + width] += the row of codes from codes[start] times what panels leave out of the outputs from `column` on.

    The products of all outputs are summed up in one long loop, since a short loop for each would cost more than its products; lines[j] is
    the sum of the first j of them, and a difference of two lines is what an output gets (int32 wraps around, and back).
    """
    first, base, total, before = corrections[column], 2 * n + 1, np.int32(0), np.int32(0)
    part, line = corrections[base + first : base + corrections[column + width]], codes[start:]
    for j in range(len(part)):
        total += value_of(part[j]) * np.int32(line[input_of(part[j])])
        lines[j + 1] = total
    lines[0] = 0
    for i in range(width):
        now = lines[corrections[column + i + 1] - first]
        sums[q + i] += now - before
        before = now


@inner
def quad_and_value(entry):
    """Which four k an entry is about, and its rest among three zeros, repeated."""
    k = input_of(entry)
    return k >> np.uint32(2), repeat_quad(np.int32(np.uint32(entry & 255) << (np.uint32(8) * (k & np.uint32(3)))))


@inner
def two_vectors(a, b, transposed, at, rest):
    """One rest times two vectors of rows."""
    a = multiply_add_quads(a, load_bytes(transposed, at), rest)
    return a, multiply_add_quads(b, load_bytes(transposed, at + LANES), rest)


@inner
def outliers_times_few(transposed, corrections, begin, end, lines, q):
    """lines[q + row] = transposed inputs times the entries from `begin` to `end`, for NARROW rows."""
    a, b = zero(), zero()
    for i in range(begin, end):
        quad, rest = quad_and_value(corrections[i])
        a, b = two_vectors(a, b, transposed, quad * NARROW, rest)
    store(lines, q, a)
    store(lines, q + LANES, b)


@inner
def outliers_times_block(transposed, corrections, begin, end, lines, q):
    """lines[q + row] = transposed inputs times the entries from `begin` to `end`, for all rows of a block."""
    a, b, c, d, e, f, g, h = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    for i in range(begin, end):
        quad, rest = quad_and_value(corrections[i])
        at = quad * BLOCK
        a, b = two_vectors(a, b, transposed, at, rest)
        c, d = two_vectors(c, d, transposed, at + 2 * LANES, rest)
        e, f = two_vectors(e, f, transposed, at + 4 * LANES, rest)
        g, h = two_vectors(g, h, transposed, at + 6 * LANES, rest)
    for number, sums in enumerate((a, b, c, d, e, f, g, h)):
        store(lines, q + number * LANES, sums)


@inner
def add_outliers(transposed, rows, corrections, n, column, width, sums, lines):
    """The sums of a tile (`rows` rows, outputs column ... column + width of n) with what its panels leave out; lines: [COLUMNS][BLOCK]."""
    base = 2 * n + 1
    if len(corrections) == base:
        return
    for i in range(width):
        begin, end = base + corrections[column + i], base + corrections[column + i + 1]
        if rows > NARROW:
            outliers_times_block(transposed, corrections, begin, end, lines, i * BLOCK)
        else:
            outliers_times_few(transposed, corrections, begin, end, lines, i * BLOCK)
    for row in range(0, rows, LANES):
        for i in range(0, COLUMNS, LANES):
            add_transposed(sums, row * COLUMNS + i, COLUMNS, lines, i * BLOCK + row, BLOCK)
