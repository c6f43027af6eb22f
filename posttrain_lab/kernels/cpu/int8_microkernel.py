"""The micro-kernel of `int8_linear`, `int8_conv2d` and `int8_matmul`: exact sums of a block of rows with one tile of packed columns.

A tile is 4 rows x COLUMNS outputs: 4 x 2 vectors of int32 that stay in registers while k runs over all inputs. Its sums go to a small
scratch array; the epilogue scales them from there while they are in the first-level cache. Inputs are int16, or uint8 where the
processor multiplies bytes: these are codes + SHIFT, so each sum of an output is too large by its compensation, SHIFT times the sum of
its weights (oneDNN calls this s8s8 compensation). The epilogue subtracts it.

| shape          | on AVX2 | on AVX-512 | why                                                            |
|----------------|---------|------------|----------------------------------------------------------------|
| rows of a tile | 4       | 8          | as many sums as the 16 or 32 registers hold, with two weights  |
| COLUMNS        | 16      | 32         | two vectors: each input that is broadcast is used twice        |
| BLOCK          | 64      | 128        | rows that share one pass over the weights                      |
"""

from typing import Any, NamedTuple

import numpy as np

from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.processor import SHIFT

from .jit_cache import inner
from .simd import LANES, store, zero
from .simd_bytes import broadcast_step, load_weights, multiply_add_step, step
from .simd_scaling import load_sums, load_up_to, positive, scaled_sums, store_up_to, subtract_sums

COLUMNS = 2 * LANES  # outputs of a tile: one panel on AVX2, two on AVX-512
PANELS = COLUMNS // PANEL
BLOCK = 8 * LANES  # rows that share a pass over the weights: they stay in the second-level cache
FEW = 4  # rows of a tile: with fewer, rows go one by one
CODES = np.uint8 if SHIFT else np.int16  # type of the inputs


class Rows(NamedTuple):
    """The inputs of a block of `count` rows: row r is made of runs, `length` codes at codes[starts[r] + offset] for each offset in turn.

    A row of a matrix is one run; the window of a pixel has a run for each line of the filter. `length` is a multiple of `step(codes)`.
    There are at least four starts, also where there are fewer rows: the others may repeat one.
    """

    codes: Any
    starts: Any
    offsets: Any
    length: int
    count: int


class Tile(NamedTuple):
    """COLUMNS packed outputs: their first vector of weights is at weights[first], their second one lies `second` behind it."""

    weights: Any
    first: int
    second: int


class OutputTile(NamedTuple):
    """Where the sums of a tile go: row r, column c < width at out[start + r * stride + column + c]; `stride` outputs in a row of out."""

    out: Any
    start: int
    stride: int
    column: int
    width: int


class Epilogue(NamedTuple):
    """What becomes of sums: (sums - compensation) * (row_scale * w_scale) + bias, then relu if it is asked for.

    row_scale: one for each row of the block; compensation, w_scale, bias: one for each output of the whole result.
    """

    compensation: Any
    row_scale: Any
    w_scale: Any
    bias: Any
    relu: bool


def tiles_of(n: int) -> int:
    """Tiles that hold n outputs."""
    return -(-n // COLUMNS)


@inner
def tile_at(x, weights, tile, panels, stride, begin):
    """The tile of this number, of weights in `panels` panels of `stride` codes each, from `begin` on; x: the inputs it is made for."""
    # The second vector of columns: on AVX2 in the same panel, on AVX-512 in the next one. Where there is no next one, the same again.
    if PANELS == 1:
        second = step(x) * LANES
    else:
        second = stride if tile * PANELS + 1 < panels else 0
    return Tile(weights, begin + tile * PANELS * stride, second)


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
def four_rows(rows, row, tile, sums):
    """sums[row * COLUMNS : (row + 4) * COLUMNS] = the rows `row` to `row + 3` times a tile."""
    (x, starts, offsets, length, _), (w, p, second), q = rows, tile, row * COLUMNS
    r, r1, r2, r3 = starts[row], starts[row + 1], starts[row + 2], starts[row + 3]
    # Eight vectors of sums: names, not an array, so that LLVM keeps them in registers.
    a0, a1, b0, b1, c0, c1, d0, d1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    for offset in offsets:
        for k in range(offset, offset + length, step(x)):
            # Two loads of weights serve four rows: the more rows share a weight, the less the loop waits for memory.
            w0, w1 = load_weights(w, p, x), load_weights(w, p + second, x)
            # One input of each row, repeated in all lanes, meets all columns. No sum waits for the one before it: eight are under way.
            a0, a1 = add_row(a0, a1, broadcast_step(x, r + k), w0, w1)
            b0, b1 = add_row(b0, b1, broadcast_step(x, r1 + k), w0, w1)
            c0, c1 = add_row(c0, c1, broadcast_step(x, r2 + k), w0, w1)
            d0, d1 = add_row(d0, d1, broadcast_step(x, r3 + k), w0, w1)
            # Panels were packed in the order in which they are read, whatever jumps the inputs make: weights come strictly forward.
            p += step(x) * PANEL
    # Only now do the sums meet memory: once for all of K, not once for each k.
    store_row(sums, q, a0, a1)
    store_row(sums, q + COLUMNS, b0, b1)
    store_row(sums, q + 2 * COLUMNS, c0, c1)
    store_row(sums, q + 3 * COLUMNS, d0, d1)


@inner
def eight_rows(rows, row, tile, sums):
    """`four_rows` for the 32 registers of AVX-512: eight rows share each weight that is loaded."""
    (x, starts, offsets, length, _), (w, p, second), q = rows, tile, row * COLUMNS
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
def one_row(x, start, length, tiles, sums, at):
    """sums[at[i] : at[i] + COLUMNS] = one row of x times tiles[i], for two tiles.

    The processor's prefetcher follows several streams at a time: two tiles in turn come faster from memory than one.
    """
    a0, a1, b0, b1, ((w, p, second), (_, p1, second1)) = zero(), zero(), zero(), zero(), tiles
    for k in range(start, start + length, step(x)):
        a = broadcast_step(x, k)
        a0, a1 = add_row(a0, a1, a, load_weights(w, p, x), load_weights(w, p + second, x))
        b0, b1 = add_row(b0, b1, a, load_weights(w, p1, x), load_weights(w, p1 + second1, x))
        p += step(x) * PANEL
        p1 += step(x) * PANEL
    store_row(sums, at[0], a0, a1)
    store_row(sums, at[1], b0, b1)


@inner
def block_sums(rows, tile, sums):
    """sums[r * COLUMNS + column] for all `rows` and the columns of a tile; sums holds BLOCK + 4 rows."""
    if LANES == 16:  # noqa: SIM102 - on its own: numba leaves the rest out where this is known to be false
        if rows.count >= 8:
            for row in range(0, rows.count, 8):
                eight_rows(rows, min(row, rows.count - 8), tile, sums)
            return
    for row in range(0, rows.count, 4):
        # A last tile that would stick out is moved back: a few sums are computed twice, and no tile needs a case of its own.
        four_rows(rows, max(0, min(row, rows.count - 4)), tile, sums)


@inner
def rows_of_matrix(starts, offsets, size):
    """The starts and offsets of `Rows` for the rows of a matrix, `size` codes each, one after another."""
    offsets[0] = 0
    for row in range(BLOCK):
        starts[row] = row * size


@inner
def store_scaled_sums(sums, count, epilogue, to):
    """The epilogue for `count` rows of a tile: int32 sums become float32 results in `to`."""
    (compensation, row_scale, w_scale, bias, relu), (out, start, stride, column, width) = epilogue, to
    last, second = stride - 1, column + LANES
    w0, b0, r0 = load_up_to(w_scale, column, last), load_up_to(bias, column, last), load_up_to(compensation, column, last)
    w1, b1, r1 = load_up_to(w_scale, second, last), load_up_to(bias, second, last), load_up_to(compensation, second, last)
    for row in range(count):  # row by row, so that whole cache lines are written
        at, q = start + row * stride + column, row * COLUMNS
        y0 = scaled_sums(subtract_sums(load_sums(sums, q), r0), row_scale[row], w0, b0)
        y1 = scaled_sums(subtract_sums(load_sums(sums, q + LANES), r1), row_scale[row], w1, b1)
        store_up_to(out, at, positive(y0) if relu else y0, width)
        store_up_to(out, at + LANES, positive(y1) if relu else y1, width - LANES)


@inner
def store_plain_sums(sums, count, compensation, to):
    """sums - compensation for `count` rows of a tile, int32, in `to`. What wrapped around in int32 wraps back."""
    out, start, stride, column, width = to
    last, second = stride - 1, column + LANES
    r0, r1 = load_up_to(compensation, column, last), load_up_to(compensation, second, last)
    for row in range(count):  # row by row, so that whole cache lines are written
        at, q = start + row * stride + column, row * COLUMNS
        store_up_to(out, at, subtract_sums(load_sums(sums, q), r0), width)
        store_up_to(out, at + LANES, subtract_sums(load_sums(sums, q + LANES), r1), width - LANES)
