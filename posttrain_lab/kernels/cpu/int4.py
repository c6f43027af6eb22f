"""int4_linear: two weights in a byte, multiplied as they are taken apart.

A nibble (0..15) times an int8, added in pairs, stays below 2^12, and eight such pairs below 2^15. Nibbles are codes + 8, so their
sum is too large by 8 times the sum of x: sums that start at minus that may wrap around in 16 bits on the way, but end at the sum of code
times x, which stays below 2^15 for sixteen pairs. So 64 inputs are added in 16 bits, with twice as many products in an instruction
as `int8_linear` has without VNNI, before a scale turns them into floats. A group of more inputs is cut into chunks of the same scale.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.layout import PANEL
from posttrain_lab.kernels.packed import GROUP_STEP, Int4Weight

from .linear import bias_or_zeros, check_finite, finish, parts_of, quantize_row
from .panels import BLOCK, COLUMNS, PANELS
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
from .simd_floats import add_scaled, fetch_early, store_scaled, zero_scaled
from .threads import compiled, inner, run, whole

DEEP = 64  # inputs whose products may be added in 16 bits: 16 pairs of at most 2 * 8 * 127
AHEAD = 2048  # bytes of weights that are on their way while one row is multiplied: more than the processor fetches by itself
AT_ONCE = 256  # outputs whose float weights exist at once, with float activations

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
def one_row(x, r, size, offsets, w, p, second, scales, column, beside, y, q):
    """The same for a single row."""
    (k_size, chunk, group, row), i = size, r * (size[0] // size[1])
    (e0, e1), c, after = (zero_scaled(), zero_scaled()), column, group
    for first in range(0, k_size, chunk):
        s0 = start(offsets, i)
        s1 = s0
        for k in range(r * k_size + first, r * k_size + first + chunk, 8):
            one, other = load_bytes(w, p), load_bytes(w, p + second)
            s0 = add_step(s0, low_nibbles(one), high_nibbles(one), x, k)
            s1 = add_step(s1, low_nibbles(other), high_nibbles(other), x, k)
            fetch_early(w, p + AHEAD)
            p += 4 * PANEL
        e0, e1 = scaled_row(e0, e1, s0, s1, offsets, i, scales, c, beside)
        i, c, after = next_chunk(i, c, after, first + chunk, group, row)
    store_row(y, q, e0, e1)


@inner
def finished(y, rows, row_scale, bias, relu, out, first, column, width):
    """out[first + r, column ...] = y times the scale of the row, plus bias, below 0 cut off where relu."""
    offset_of, low = bias[column : column + width], np.float32(0 if relu else -np.inf)
    for r in range(rows):
        scale, here, there = row_scale[first + r], out[first + r][column : column + width], y[r * COLUMNS : r * COLUMNS + width]
        for i in range(width):
            value = there[i] * scale + offset_of[i]
            here[i] = low if value < low else value


@compiled
def multiply_groups(x, row_scale, w, scales, size, bias, relu, out, part):
    """out (M, N) float32 from x (M, K) float32 and nibbles w; part: rows and tiles, each (first, end).

    row_scale (M) gets the scale of each row, NaN where a row is not finite. size: (K, chunk, group, length of a row of scales).
    The scales of a tile are those from `column` and, for its second vector, from `column + beside`.
    """
    n, k = out.shape[1], x.shape[1]
    panels, stride, chunks = -(-n // PANEL), k * PANEL // 2, k // size[1]
    codes, offsets, inputs = np.empty(BLOCK * k, np.int8), np.empty(2 * BLOCK * chunks, OFFSETS), x.reshape(-1)
    y = np.empty((BLOCK + 4) * COLUMNS, np.float32)
    for begin in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - begin)
        for r in range(rows):
            row_scale[begin + r] = quantize_row(inputs, (begin + r) * k, k, codes, r * k, k, 0)
            for i in range(r * chunks, (r + 1) * chunks):
                note_offsets(codes, i * size[1], size[1], offsets, 2 * i)
        for tile in range(part[2], part[3]):
            panel, column = tile * PANELS, tile * COLUMNS
            second, beside = 4 * LANES, LANES
            if PANELS == 2:
                second, beside = (stride, LANES) if panel + 1 < panels else (0, 0)
            if rows >= 4:
                for r in range(0, rows, 4):
                    r = min(r, rows - 4)
                    four_rows(codes, r, size, offsets, w, panel * stride, second, scales, column, beside, y, r * COLUMNS)
            else:
                for r in range(rows):
                    one_row(codes, r, size, offsets, w, panel * stride, second, scales, column, beside, y, r * COLUMNS)
            finished(y, rows, row_scale, bias, relu, out, begin, column, min(COLUMNS, n - column))


def chunk_of(group: int) -> int:
    """The largest part of a group, in whole steps, that DEEP allows and that divides it."""
    return max(size for size in range(GROUP_STEP, min(group, DEEP) + 1, GROUP_STEP) if group % size == 0)


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n, group = x.shape, weight.out_features, weight.group
    out = torch.empty(m, n)
    if m == 0:
        return out
    if activations == "float32":
        return _with_floats(x, weight, bias, activation, out)
    codes, scales = weight.views
    chunk, row_scale = chunk_of(group), np.empty(m, np.float32)
    size = (k, chunk, group, len(scales) * group // k)
    operands = (whole(x), row_scale, codes, scales, size, bias_or_zeros(bias, n), activation == "relu", out.numpy())
    run(multiply_groups, operands, parts_of(m, n, k))
    check_finite("int4_linear", row_scale)
    return finish(out, activation)


def _with_floats(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, out: Tensor) -> Tensor:
    """Float activations: the weights become floats, AT_ONCE outputs at a time, and torch multiplies."""
    n = out.shape[1]
    for first in range(0, n, AT_ONCE):
        end = min(first + AT_ONCE, n)
        panels = weight.codes[first // PANEL : -(-end // PANEL)]
        part = Int4Weight(panels, weight.scale[:, first : first + AT_ONCE], weight.in_features, end - first)
        out[:, first:end] = F.linear(x, part.dense(), None if bias is None else bias[first:end])
    return F.relu_(out) if activation == "relu" else finish(out, activation)
