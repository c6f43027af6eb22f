"""Saturation outliers: the part of a weight that 16-bit products could not hold is multiplied here, and added to the sums.

Panels hold weights whose pairs cannot saturate; what was taken off them is stored by columns, as compressed sparse columns (CSC, see
`../panel_layout.py`). There are few such outliers, each at an input of its own. One outlier meets all rows of a block at once, so the
block's inputs are transposed: four k in an int32, and for each four k the rows side by side.

Source: the outlier-aware product of FBGEMM (Khudia et al. 2021, "FBGEMM: Enabling High-Performance Low-Precision Deep Learning
Inference"). It keeps int16 sums and calls an outlier what they could not hold; here it is what a pair of products could not hold.
"""

from typing import Any, NamedTuple

import numpy as np

from .int8_microkernel import BLOCK, COLUMNS
from .jit_cache import inner
from .simd import LANES, add_transposed, store, store_transposed, zero
from .simd_bytes import copy_quad, load_bytes, multiply_add_quads, repeat_quad

NARROW = 2 * LANES  # rows of a block that has few


class Corrections(NamedTuple):
    """What the sums of some outputs lack (outliers) and have too much (compensation), int32.

    The outliers of output o are the numbers first + flat[o] to first + flat[o + 1] (left out) of `flat`, each 256 * k + the missing part
    of the weight of input k.
    """

    flat: Any
    first: int
    compensation: Any


@inner
def corrections_of(flat, n):
    """The `corrections` of a packed weight with n outputs."""
    return Corrections(flat, 2 * n + 1, flat[n + 1 : 2 * n + 1])


@inner
def side_by_side(count):
    """How many rows of a transposed block lie side by side: all of a block, or NARROW."""
    return BLOCK if count > NARROW else NARROW


@inner
def transpose_block(rows, corrections, transposed):
    """transposed[q * side_by_side + r] = the q-th four codes of row r; nothing where there are no outliers."""
    if len(corrections.flat) == corrections.first:
        return
    codes, starts, offsets, length, count = rows
    beside, quads, q = side_by_side(count), length // 4, 0
    for offset in offsets:
        if count >= LANES and quads >= LANES:
            # Squares of LANES x LANES, transposed in registers. A last one that would stick out is moved back.
            for row in range(0, count, LANES):
                row = min(row, count - LANES)
                for k in range(0, quads, LANES):
                    k = min(k, quads - LANES)
                    store_transposed(transposed, (q + k) * beside + row, beside, codes, starts, row, offset + 4 * k)
        else:
            for k in range(quads):
                for row in range(count):
                    copy_quad(transposed, (q + k) * beside + row, codes, starts[row] + offset + 4 * k)
        q += quads


@inner
def input_of(entry):
    """The k of an entry. Unsigned: Numba would else check at every use whether it counts from the end."""
    return np.uint32(entry) >> np.uint32(8)


@inner
def value_of(entry):
    """The missing part of a weight, a signed byte."""
    return np.int32(np.int8(entry))


@inner
def add_to_row(codes, start, corrections, to, sums, prefix):
    """sums[0][sums[1] + c] += the row of codes from `start` times the outliers of output to.column + c, for c < to.width.

    For one row, as `add_outliers` for a block. sums: (array, index). prefix: at least one int32 more than there are outliers.
    """
    flat, (array, q), column = corrections.flat, sums, to.column
    begin, before, total = flat[column], np.int32(0), np.int32(0)
    # An output has few outliers, often one or none: a loop for each would cost more than its products. So all outputs share one
    # loop, which notes the sum of the first j products, ...
    part, row = flat[corrections.first + begin : corrections.first + flat[column + to.width]], codes[start:]
    for j in range(len(part)):
        total += value_of(part[j]) * np.int32(row[input_of(part[j])])
        prefix[j + 1] = total
    prefix[0] = 0
    # ... and what an output gets is the difference of two of these (int32 wraps around, and back).
    for i in range(to.width):
        now = prefix[flat[column + i + 1] - begin]
        array[q + i] += now - before
        before = now


@inner
def quad_and_value(entry):
    """Which four k an entry is about, and its value among three zeros, repeated in all lanes."""
    k = input_of(entry)
    return k >> np.uint32(2), repeat_quad(np.int32(np.uint32(entry & 255) << (np.uint32(8) * (k & np.uint32(3)))))


@inner
def two_vectors(a, b, transposed, at, value):
    """One outlier times two vectors of rows."""
    a = multiply_add_quads(a, load_bytes(transposed, at), value)
    return a, multiply_add_quads(b, load_bytes(transposed, at + LANES), value)


@inner
def outliers_times_few(transposed, flat, entries, products, q):
    """products[q + row] = the inputs times the outliers flat[entries[0] : entries[1]] of one output, for NARROW rows."""
    a, b = zero(), zero()
    for i in range(entries[0], entries[1]):
        quad, value = quad_and_value(flat[i])
        a, b = two_vectors(a, b, transposed, quad * NARROW, value)
    store(products, q, a)
    store(products, q + LANES, b)


@inner
def outliers_times_block(transposed, flat, entries, products, q):
    """products[q + row] = the inputs times the outliers flat[entries[0] : entries[1]] of one output, for all rows of a block."""
    a, b, c, d, e, f, g, h = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    for i in range(entries[0], entries[1]):
        # The three zeros beside the value cost nothing: the instruction multiplies four bytes anyway.
        quad, value = quad_and_value(flat[i])
        at = quad * BLOCK
        a, b = two_vectors(a, b, transposed, at, value)
        c, d = two_vectors(c, d, transposed, at + 2 * LANES, value)
        e, f = two_vectors(e, f, transposed, at + 4 * LANES, value)
        g, h = two_vectors(g, h, transposed, at + 6 * LANES, value)
    for number, sums in enumerate((a, b, c, d, e, f, g, h)):
        store(products, q + number * LANES, sums)


@inner
def add_outliers(transposed, count, corrections, to, sums, products):
    """sums of a tile (`count` rows, the outputs of `to`) += the products of its outliers; products: [COLUMNS][BLOCK] int32."""
    if len(corrections.flat) == corrections.first:
        return
    flat, first = corrections.flat, corrections.first
    # Output by output: its outliers times all rows. So products come out transposed, an output's rows side by side, ...
    for i in range(to.width):
        entries = first + flat[to.column + i], first + flat[to.column + i + 1]
        if count > NARROW:
            outliers_times_block(transposed, flat, entries, products, i * BLOCK)
        else:
            outliers_times_few(transposed, flat, entries, products, i * BLOCK)
    # ... and are turned back, square by square, while they are added to the sums, where a row's outputs lie side by side.
    for row in range(0, count, LANES):
        for i in range(0, COLUMNS, LANES):
            add_transposed(sums, row * COLUMNS + i, COLUMNS, products, i * BLOCK + row, BLOCK)
