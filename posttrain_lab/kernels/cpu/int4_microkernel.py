"""The heart of `int4_linear`: sums of rows of int8 codes with tiles of nibbles, scaled chunk by chunk.

A nibble (0..15) times an int8, added in pairs, stays below 2^12, and eight such pairs below 2^15. Nibbles are codes + 8, so their
sum is too large by 8 times the sum of x: sums that start at minus that may wrap around in 16 bits on the way, but end at the sum of code
times x, which stays below 2^15 for sixteen pairs. So 64 inputs are added in 16 bits, with twice as many products in an instruction
as `int8_linear` has without VNNI, before a scale turns them into floats. A group of more inputs is cut into chunks of the same scale.
"""

import numpy as np

from posttrain_lab.kernels.panel_layout import PANEL

from .int8_microkernel import COLUMNS, PANELS
from .jit_cache import inner
from .simd import LANES, broadcast_pair, total, zero
from .simd_bytes import (
    VNNI,
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

if VNNI:  # VNNI adds up in 32 bits, all of a chunk in one number

    @inner
    def start(offsets, i):
        """Zeros: what sums are too large by is taken off at the end."""
        return zero_products()

    @inner
    def too_large(offsets, i):
        """What the sums of chunk i are too large by."""
        return offsets[2 * i] + offsets[2 * i + 1]

    @inner
    def halves(sums):
        """All of them, and nothing."""
        return total(sums), np.int32(0)

else:

    @inner
    def start(offsets, i):
        """Minus what the sums of chunk i will be too large by: one number for each half of four inputs."""
        return broadcast_pair(offsets, 2 * i)

    @inner
    def too_large(offsets, i):
        """Nothing: see `start`."""
        return np.int32(0)

    @inner
    def halves(sums):
        """The sums of the even and of the odd ones."""
        both = fold_words(sums)
        return np.int32(np.int16(both)), np.int32(both >> 16)


OFFSETS, SIGN = (np.int32, 1) if VNNI else (np.int16, -1)
EIGHTS = np.array([8] * (4 * LANES), np.uint8)


@inner
def note_offsets(codes, p, chunk, offsets, q):
    """offsets[q], offsets[q + 1] = SIGN * 8 times the sums of the inputs 0, 1 and 2, 3 of all fours of the chunk from codes[p].

    Where only the sum of both is asked for, with VNNI, all of it may be in the first.
    """
    sums, eights, wide = zero_products(), load_bytes(EIGHTS, 0), chunk // (4 * LANES) * (4 * LANES)
    for k in range(p, p + wide, 4 * LANES):
        sums = add_products(sums, eights, load_bytes(codes, k))
    first, second = halves(sums)
    for k in range(p + wide, p + chunk, 4):
        first += 8 * (np.int32(codes[k]) + np.int32(codes[k + 1]))
        second += 8 * (np.int32(codes[k + 2]) + np.int32(codes[k + 3]))
    offsets[q], offsets[q + 1] = SIGN * first, SIGN * second


@inner
def add_step(t, low, high, x, r):
    """One row of a vector of the tile: eight more k."""
    return add_products(add_products(t, low, broadcast_quad(x, r)), high, broadcast_quad(x, r + 4))


@inner
def scaled_row(e, f, s, t, offsets, i, scales, column, beside):
    """A row of the tile, plus the sums of a chunk times their scales."""
    o = too_large(offsets, i)
    e = add_scaled(e, sum_products(zero(), s), o, scales, column)
    return e, add_scaled(f, sum_products(zero(), t), o, scales, column + beside)


@inner
def store_row(y, q, t0, t1):
    """y[q : q + COLUMNS] = a row of the tile."""
    store_scaled(y, q, t0)
    store_scaled(y, q + LANES, t1)


@inner
def next_chunk(i, c, after, k, group, row):
    """The number of the next chunk, which begins at k, where its scales are, and where its group ends."""
    return (i + 1, c + row, after + group) if k == after else (i + 1, c, after)


@inner
def four_rows(x, r, size, offsets, w, p, second, scales, column, beside, y, q):
    """y[q : q + 4 * COLUMNS] = four rows of x from row r, scaled chunk by chunk, times a tile of nibbles from w[p]."""
    (k_size, chunk, group, row), chunks = size, size[0] // size[1]
    i, c, after = r * chunks, column, group
    r, r1, r2, r3 = r * k_size, (r + 1) * k_size, (r + 2) * k_size, (r + 3) * k_size
    e0, e1, f0, f1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    g0, g1, h0, h1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    for first in range(0, k_size, chunk):
        j, i2, i3 = i + chunks, i + 2 * chunks, i + 3 * chunks
        s0, t0, u0, v0 = start(offsets, i), start(offsets, j), start(offsets, i2), start(offsets, i3)
        s1, t1, u1, v1 = s0, t0, u0, v0
        for k in range(first, first + chunk, 8):
            one, other = load_bytes(w, p), load_bytes(w, p + second)
            low0, high0, low1, high1 = low_nibbles(one), high_nibbles(one), low_nibbles(other), high_nibbles(other)
            s0, s1 = add_step(s0, low0, high0, x, r + k), add_step(s1, low1, high1, x, r + k)
            t0, t1 = add_step(t0, low0, high0, x, r1 + k), add_step(t1, low1, high1, x, r1 + k)
            u0, u1 = add_step(u0, low0, high0, x, r2 + k), add_step(u1, low1, high1, x, r2 + k)
            v0, v1 = add_step(v0, low0, high0, x, r3 + k), add_step(v1, low1, high1, x, r3 + k)
            p += 4 * PANEL
        e0, e1 = scaled_row(e0, e1, s0, s1, offsets, i, scales, c, beside)
        f0, f1 = scaled_row(f0, f1, t0, t1, offsets, j, scales, c, beside)
        g0, g1 = scaled_row(g0, g1, u0, u1, offsets, i2, scales, c, beside)
        h0, h1 = scaled_row(h0, h1, v0, v1, offsets, i3, scales, c, beside)
        i, c, after = next_chunk(i, c, after, first + chunk, group, row)
    store_row(y, q, e0, e1)
    store_row(y, q + COLUMNS, f0, f1)
    store_row(y, q + 2 * COLUMNS, g0, g1)
    store_row(y, q + 3 * COLUMNS, h0, h1)


@inner
def add_tile(t, x, r, w, tile):
    """One row of a tile (as in `one_row`): eight more k."""
    one, other = load_bytes(w, tile[0]), load_bytes(w, tile[0] + tile[1])
    low = add_step(t[0], low_nibbles(one), high_nibbles(one), x, r)
    return low, add_step(t[1], low_nibbles(other), high_nibbles(other), x, r)


@inner
def one_row(x, r, size, offsets, w, tiles, scales, y, q):
    """A single row times two tiles: y[q[i] : q[i] + COLUMNS]. Reading in turn from two places is faster than reading from one.

    A tile is: where its nibbles begin, how far its second vector lies behind, its first column, how far that of the second lies behind.
    """
    (k_size, chunk, group, row), i, after, ((p, second, c, beside), (p1, second1, c1, beside1)) = (
        size,
        r * (size[0] // size[1]),
        size[2],
        tiles,
    )
    e0, e1, f0, f1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    for first in range(0, k_size, chunk):
        s, t = (start(offsets, i), start(offsets, i)), (start(offsets, i), start(offsets, i))
        for k in range(r * k_size + first, r * k_size + first + chunk, 8):
            s, t = add_tile(s, x, k, w, (p, second)), add_tile(t, x, k, w, (p1, second1))
            p, p1 = p + 4 * PANEL, p1 + 4 * PANEL
        e0, e1 = scaled_row(e0, e1, s[0], s[1], offsets, i, scales, c, beside)
        f0, f1 = scaled_row(f0, f1, t[0], t[1], offsets, i, scales, c1, beside1)
        if first + chunk == after:
            c, c1, after = c + row, c1 + row, after + group
        i += 1
    store_row(y, q[0], e0, e1)
    store_row(y, q[1], f0, f1)


@inner
def tile_at(tile, panels, stride):
    """A tile as `one_row` wants it."""
    second, beside = 4 * LANES, LANES
    if PANELS == 2:
        second, beside = (stride, LANES) if tile * PANELS + 1 < panels else (0, 0)
    return tile * PANELS * stride, second, tile * COLUMNS, beside
