"""The micro-kernel of `int4_linear`: sums of rows of int8 codes with tiles of nibbles, scaled chunk by chunk.

A nibble (0..15) times an int8, added in pairs, stays below 2^12, and eight such pairs below 2^15. Nibbles are codes + 8, so their
sum is too large by its compensation, 8 times the sum of x. Sums that start at minus that may wrap around in 16 bits on the way, but end at
the sum of code times x, which stays below 2^15 for sixteen pairs. So 64 inputs are added in 16 bits, with twice as many products in an
instruction as `int8_linear` has without VNNI, before a scale turns them into floats. A group of more inputs is cut into chunks of the
same scale.
"""

from typing import Any, NamedTuple

import numpy as np

from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.processor import VNNI

from .int8_microkernel import COLUMNS, PANELS
from .jit_cache import inner
from .simd import LANES, broadcast_pair, total, zero
from .simd_bytes import (
    add_products,
    broadcast_quad,
    fold_words,
    high_nibbles,
    load_bytes,
    low_nibbles,
    sum_products,
    zero_products,
)
from .simd_floats import add_scaled, store_scaled, zero_scaled

INT16_DEPTH = 64  # inputs whose products may be added in 16 bits: 16 pairs of at most 2 * 8 * 127


class Chunks(NamedTuple):
    """The inputs of a block: int8 codes [rows][k], flat, in chunks that share a scale.

    compensation: two numbers for each row and chunk (see `note_compensation`). chunk, group: inputs in one; a chunk divides a group.
    """

    codes: Any
    compensation: Any
    k: int
    chunk: int
    group: int


class NibbleTile(NamedTuple):
    """COLUMNS outputs: nibbles from weights[first] and, `second` behind, of the second vector; scales from scales[column].

    beside: how far the second vector's scales lie behind the first one's. scale_stride: from the scales of a group to the next ones.
    """

    weights: Any
    scales: Any
    first: int
    second: int
    column: int
    beside: int
    scale_stride: int


if VNNI:  # VNNI adds up in 32 bits, all of a chunk in one number

    @inner
    def start(compensation, i):
        """Zeros: the compensation is subtracted at the end."""
        return zero_products()

    @inner
    def rest(compensation, i):
        """The compensation of chunk i."""
        return compensation[2 * i] + compensation[2 * i + 1]

    @inner
    def halves(sums):
        """All of the sums, and nothing."""
        return total(sums), np.int32(0)

else:

    @inner
    def start(compensation, i):
        """Minus the compensation of chunk i: one number for each half of four inputs."""
        return broadcast_pair(compensation, 2 * i)

    @inner
    def rest(compensation, i):
        """Nothing is left to subtract: see `start`."""
        return np.int32(0)

    @inner
    def halves(sums):
        """The sums of the even lanes, and of the odd ones."""
        both = fold_words(sums)
        return np.int32(np.int16(both)), np.int32(both >> 16)


COMPENSATION, SIGN = (np.int32, 1) if VNNI else (np.int16, -1)
EIGHTS = np.array([8] * (4 * LANES), np.uint8)


@inner
def note_compensation(codes, p, chunk, compensation, q):
    """compensation[q], compensation[q + 1] = SIGN * 8 times the sums of the inputs 0, 1 and 2, 3 of all fours of the chunk from codes[p].

    With VNNI, where only the sum of both is used, all of it may be in the first.
    """
    sums, eights, wide = zero_products(), load_bytes(EIGHTS, 0), chunk // (4 * LANES) * (4 * LANES)
    for k in range(p, p + wide, 4 * LANES):
        sums = add_products(sums, eights, load_bytes(codes, k))
    first, second = halves(sums)
    for k in range(p + wide, p + chunk, 4):
        first += 8 * (np.int32(codes[k]) + np.int32(codes[k + 1]))
        second += 8 * (np.int32(codes[k + 2]) + np.int32(codes[k + 3]))
    compensation[q], compensation[q + 1] = SIGN * first, SIGN * second


@inner
def add_step(t, low, high, x, r):
    """One row of a vector of the tile: eight more k."""
    return add_products(add_products(t, low, broadcast_quad(x, r)), high, broadcast_quad(x, r + 4))


@inner
def add_scaled_row(floats, sums, rest, scales, columns):
    """A row of the tile, two vectors of floats, plus the sums of a chunk times their scales; columns: where those begin."""
    e = add_scaled(floats[0], sum_products(zero(), sums[0]), rest, scales, columns[0])
    return e, add_scaled(floats[1], sum_products(zero(), sums[1]), rest, scales, columns[1])


@inner
def store_row(y, q, row):
    """y[q : q + COLUMNS] = a row of the tile."""
    store_scaled(y, q, row[0])
    store_scaled(y, q + LANES, row[1])


@inner
def four_rows(rows, row, tile, y):
    """y[row * COLUMNS : (row + 4) * COLUMNS] = the rows `row` to `row + 3` times a tile of nibbles, scaled chunk by chunk."""
    x, compensation, k_size, chunk, w, p, second = (
        rows.codes,
        rows.compensation,
        rows.k,
        rows.chunk,
        tile.weights,
        tile.first,
        tile.second,
    )
    chunks, r, r1, r2, r3 = k_size // chunk, row * k_size, (row + 1) * k_size, (row + 2) * k_size, (row + 3) * k_size
    i, c, group_end = row * chunks, tile.column, rows.group
    # Two levels of sums: floats of all chunks so far, ...
    e0, e1, f0, f1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    g0, g1, h0, h1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    for first in range(0, k_size, chunk):
        # ... and integers of this chunk, which start at minus their compensation, or have it subtracted at the end.
        j, i2, i3 = i + chunks, i + 2 * chunks, i + 3 * chunks
        s0, t0, u0, v0 = start(compensation, i), start(compensation, j), start(compensation, i2), start(compensation, i3)
        s1, t1, u1, v1 = s0, t0, u0, v0
        for k in range(first, first + chunk, 8):
            # A byte holds the weights k (low) and k + 4 (high) of an output: two masks, and eight inputs have their weights.
            one, other = load_bytes(w, p), load_bytes(w, p + second)
            low0, high0, low1, high1 = low_nibbles(one), high_nibbles(one), low_nibbles(other), high_nibbles(other)
            s0, s1 = add_step(s0, low0, high0, x, r + k), add_step(s1, low1, high1, x, r + k)
            t0, t1 = add_step(t0, low0, high0, x, r1 + k), add_step(t1, low1, high1, x, r1 + k)
            u0, u1 = add_step(u0, low0, high0, x, r2 + k), add_step(u1, low1, high1, x, r2 + k)
            v0, v1 = add_step(v0, low0, high0, x, r3 + k), add_step(v1, low1, high1, x, r3 + k)
            p += 4 * PANEL
        # The chunk is done: its exact sums become floats with the scales of its group.
        columns = c, c + tile.beside
        e0, e1 = add_scaled_row((e0, e1), (s0, s1), rest(compensation, i), tile.scales, columns)
        f0, f1 = add_scaled_row((f0, f1), (t0, t1), rest(compensation, j), tile.scales, columns)
        g0, g1 = add_scaled_row((g0, g1), (u0, u1), rest(compensation, i2), tile.scales, columns)
        h0, h1 = add_scaled_row((h0, h1), (v0, v1), rest(compensation, i3), tile.scales, columns)
        i += 1
        if first + chunk == group_end:
            c, group_end = c + tile.scale_stride, group_end + rows.group
    for number, floats in enumerate(((e0, e1), (f0, f1), (g0, g1), (h0, h1))):
        store_row(y, (row + number) * COLUMNS, floats)


@inner
def add_tile(t, x, r, w, tile):
    """One row of a tile (as in `one_row`): eight more k. tile: where the nibbles of both vectors are."""
    one, other = load_bytes(w, tile[0]), load_bytes(w, tile[0] + tile[1])
    low = add_step(t[0], low_nibbles(one), high_nibbles(one), x, r)
    return low, add_step(t[1], low_nibbles(other), high_nibbles(other), x, r)


@inner
def one_row(rows, row, tiles, y, at):
    """y[at[i] : at[i] + COLUMNS] = a single row times tiles[i], for two tiles: two streams come faster from memory than one."""
    x, compensation, chunk, i, group_end = rows.codes, rows.compensation, rows.chunk, row * (rows.k // rows.chunk), rows.group
    w, scales, p, second, c, beside, scale_stride = tiles[0]
    p1, second1, c1, beside1 = tiles[1].first, tiles[1].second, tiles[1].column, tiles[1].beside
    e, f = (zero_scaled(), zero_scaled()), (zero_scaled(), zero_scaled())
    for first in range(0, rows.k, chunk):
        s, t = (start(compensation, i), start(compensation, i)), (start(compensation, i), start(compensation, i))
        for k in range(row * rows.k + first, row * rows.k + first + chunk, 8):
            s, t = add_tile(s, x, k, w, (p, second)), add_tile(t, x, k, w, (p1, second1))
            p, p1 = p + 4 * PANEL, p1 + 4 * PANEL
        e = add_scaled_row(e, s, rest(compensation, i), scales, (c, c + beside))
        f = add_scaled_row(f, t, rest(compensation, i), scales, (c1, c1 + beside1))
        if first + chunk == group_end:
            c, c1, group_end = c + scale_stride, c1 + scale_stride, group_end + rows.group
        i += 1
    store_row(y, at[0], e)
    store_row(y, at[1], f)


@inner
def nibble_tile(weight, tile, panels, k):
    """The tile of this number; weight: (nibbles, scales, scale_stride) in `panels` panels of k inputs."""
    (weights, scales, scale_stride), stride, second, beside = weight, k * PANEL // 2, 4 * LANES, LANES
    if PANELS == 2:  # the second vector is the next panel; where there is none, the first one again
        second, beside = (stride, LANES) if tile * PANELS + 1 < panels else (0, 0)
    return NibbleTile(weights, scales, tile * PANELS * stride, second, tile * COLUMNS, beside, scale_stride)
