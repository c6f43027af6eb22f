"""The heart of `int8_linear`, `int8_conv2d` and `int8_matmul`: exact sums of a block of rows with one tile of packed columns.

A tile is 4 rows x COLUMNS outputs: 4 x 2 vectors of int32 that stay in registers while k runs over all inputs. Its sums go
to a small scratch array; the caller scales them from there while they are in the nearest cache. Inputs are int16, or uint8 where the
processor multiplies bytes: these are codes + SHIFT, and every sum of an output is too large by SHIFT times the sum of its weights.
"""

import numpy as np

from posttrain_lab.kernels.panel_layout import PANEL

from .jit_cache import inner
from .simd import LANES, store, zero
from .simd_bytes import SHIFT, broadcast_step, load_weights, multiply_add_step, step
from .simd_scaling import load_sums, load_up_to, positive, scaled_sums, store_up_to, subtract_sums

COLUMNS = 2 * LANES  # outputs of a tile: one panel on AVX2, two on AVX-512
PANELS = COLUMNS // PANEL
BLOCK = 8 * LANES  # rows that share a pass over the weights: they stay in the second cache
FEW = 4  # rows of a tile: with fewer, rows go one by one
CODES = np.uint8 if SHIFT else np.int16  # how inputs come


def tiles_of(n: int) -> int:
    """Tiles that hold n outputs."""
    return -(-n // COLUMNS)


@inner
def second_vector(x, panel, panels, stride):
    """Where the second vector of a tile lies behind its first: in the same panel, in the next one, or (none left) in itself."""
    if PANELS == 1:
        return step(x) * LANES
    return stride if panel + 1 < panels else 0


@inner
def add_row(t0, t1, a, w0, w1):
    """One row of the tile: COLUMNS sums, STEP more k."""
    return multiply_add_step(t0, a, w0), multiply_add_step(t1, a, w1)


@inner
def store_row(sums, q, t0, t1):
    """sums[q : q + COLUMNS] = the sums of a row."""
    store(sums, q, t0)
    store(sums, q + LANES, t1)


@inner
def four_rows(x, starts, row, offsets, length, w, p, second, sums, q):
    """sums[q : q + 4 * COLUMNS] = four rows of x, from `row` on, times a tile of w from w[p].

    Row r is `length` codes at x[starts[r] + offset], whole steps, for one offset after the other.
    """
    r, r1, r2, r3 = starts[row], starts[row + 1], starts[row + 2], starts[row + 3]
    a0, a1, b0, b1, c0, c1, d0, d1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    for offset in offsets:
        for k in range(offset, offset + length, step(x)):
            w0, w1 = load_weights(w, p, x), load_weights(w, p + second, x)
            a0, a1 = add_row(a0, a1, broadcast_step(x, r + k), w0, w1)
            b0, b1 = add_row(b0, b1, broadcast_step(x, r1 + k), w0, w1)
            c0, c1 = add_row(c0, c1, broadcast_step(x, r2 + k), w0, w1)
            d0, d1 = add_row(d0, d1, broadcast_step(x, r3 + k), w0, w1)
            p += step(x) * PANEL
    store_row(sums, q, a0, a1)
    store_row(sums, q + COLUMNS, b0, b1)
    store_row(sums, q + 2 * COLUMNS, c0, c1)
    store_row(sums, q + 3 * COLUMNS, d0, d1)


@inner
def eight_rows(x, starts, row, offsets, length, w, p, second, sums, q):
    """`four_rows` for the 32 registers of AVX-512: eight rows share each weight that is loaded."""
    r, r1, r2, r3 = starts[row], starts[row + 1], starts[row + 2], starts[row + 3]
    r4, r5, r6, r7 = starts[row + 4], starts[row + 5], starts[row + 6], starts[row + 7]
    a0, a1, b0, b1, c0, c1, d0, d1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    e0, e1, f0, f1, g0, g1, h0, h1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    for offset in offsets:
        for k in range(offset, offset + length, step(x)):
            w0, w1 = load_weights(w, p, x), load_weights(w, p + second, x)
            a0, a1 = add_row(a0, a1, broadcast_step(x, r + k), w0, w1)
            b0, b1 = add_row(b0, b1, broadcast_step(x, r1 + k), w0, w1)
            c0, c1 = add_row(c0, c1, broadcast_step(x, r2 + k), w0, w1)
            d0, d1 = add_row(d0, d1, broadcast_step(x, r3 + k), w0, w1)
            e0, e1 = add_row(e0, e1, broadcast_step(x, r4 + k), w0, w1)
            f0, f1 = add_row(f0, f1, broadcast_step(x, r5 + k), w0, w1)
            g0, g1 = add_row(g0, g1, broadcast_step(x, r6 + k), w0, w1)
            h0, h1 = add_row(h0, h1, broadcast_step(x, r7 + k), w0, w1)
            p += step(x) * PANEL
    for number, (low, high) in enumerate(((a0, a1), (b0, b1), (c0, c1), (d0, d1), (e0, e1), (f0, f1), (g0, g1), (h0, h1))):
        store_row(sums, q + number * COLUMNS, low, high)


@inner
def one_row(x, start, length, w, places, seconds, sums, q):
    """sums[q[i] : q[i] + COLUMNS] = one row of x times the tile of w from w[places[i]], for two tiles; seconds: their `second_vector`.

    What is read in turn from two places comes faster from far memory than what is read from one.
    """
    a0, a1, b0, b1, (p, other) = zero(), zero(), zero(), zero(), places
    for k in range(start, start + length, step(x)):
        a = broadcast_step(x, k)
        a0, a1 = add_row(a0, a1, a, load_weights(w, p, x), load_weights(w, p + seconds[0], x))
        b0, b1 = add_row(b0, b1, a, load_weights(w, other, x), load_weights(w, other + seconds[1], x))
        p += step(x) * PANEL
        other += step(x) * PANEL
    store_row(sums, q[0], a0, a1)
    store_row(sums, q[1], b0, b1)


@inner
def block_sums(x, starts, rows, offsets, length, w, p, second, sums):
    """sums[row * COLUMNS + column] for `rows` rows of x, which lie there as in `four_rows`; sums holds BLOCK + 4 rows.

    There are at least four starts: rows that are missing may be others again.
    """
    if LANES == 16:  # noqa: SIM102 - on its own: numba leaves the rest out where this is known to be false
        if rows >= 8:
            for row in range(0, rows, 8):
                first = min(row, rows - 8)
                eight_rows(x, starts, first, offsets, length, w, p, second, sums, first * COLUMNS)
            return
    for row in range(0, rows, 4):
        first = max(0, min(row, rows - 4))  # a last tile that would stick out is moved back: some sums are computed twice
        four_rows(x, starts, first, offsets, length, w, p, second, sums, first * COLUMNS)


@inner
def rows_on_rows(size):
    """starts and offsets for rows that follow one another, `size` codes each."""
    starts, offsets = np.empty(BLOCK, np.int64), np.empty(1, np.int64)
    for row in range(BLOCK):
        starts[row] = row * size
    offsets[0] = 0
    return starts, offsets


@inner
def scaled(sums, rows, compensation, row_scale, w_scale, bias, relu, out, first, n, column, width):
    """out[first + row, column ...] = (sums - compensation) * (row_scale * w_scale) + bias, below 0 cut off where relu; out is flat.

    compensation, w_scale, bias: one for each column of all; row_scale: one for each row of the block; `width` columns.
    """
    last, second = n - 1, column + LANES
    w0, b0, r0 = load_up_to(w_scale, column, last), load_up_to(bias, column, last), load_up_to(compensation, column, last)
    w1, b1, r1 = load_up_to(w_scale, second, last), load_up_to(bias, second, last), load_up_to(compensation, second, last)
    for row in range(rows):  # a whole line of the cache at once
        at, q = (first + row) * n + column, row * COLUMNS
        y0 = scaled_sums(subtract_sums(load_sums(sums, q), r0), row_scale[row], w0, b0)
        y1 = scaled_sums(subtract_sums(load_sums(sums, q + LANES), r1), row_scale[row], w1, b1)
        store_up_to(out, at, positive(y0) if relu else y0, width)
        store_up_to(out, at + LANES, positive(y1) if relu else y1, width - LANES)


@inner
def copied(sums, rows, compensation, out, start, n, column, width):
    """out[start + row * n + column ...] = sums - compensation, int32; out is flat. What wrapped around wraps back."""
    last, second = n - 1, column + LANES
    r0, r1 = load_up_to(compensation, column, last), load_up_to(compensation, second, last)
    for row in range(rows):  # a whole line of the cache at once
        at, q = start + row * n + column, row * COLUMNS
        store_up_to(out, at, subtract_sums(load_sums(sums, q), r0), width)
        store_up_to(out, at + LANES, subtract_sums(load_sums(sums, q + LANES), r1), width - LANES)
