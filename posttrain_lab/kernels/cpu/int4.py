"""int4_linear: two weights in a byte, multiplied as they are taken apart.

A nibble (0..15) times an int8, added in pairs, stays below 2^12, so eight pairs fit an int16 before they must be widened: twice
as many products in an instruction as `int8_linear` has without VNNI. Each group's sum is scaled by its own scale and added in
float32. Nibbles are codes + 8, so every sum is too large by 8 times the group's sum of x.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.packed import PANEL, Int4Weight

from .linear import bias_or_zeros, finish, parts_of, quantized
from .panels import BLOCK, COLUMNS, PANELS
from .simd import (
    LANES,
    add_pairs,
    broadcast_quad,
    high_nibbles,
    load_bytes,
    low_nibbles,
    multiply_add_bytes,
    store,
    zero,
    zero_words,
)
from .threads import compiled, flat, run

DEEP = 32  # k in a row before 16 bits may be full: 8 pairs of each lane
CHUNK = 256  # outputs whose float weights exist at once, with float activations


@njit
def add_step(t, low, high, x, r):
    """One row of a vector of the tile: eight more k."""
    return multiply_add_bytes(multiply_add_bytes(t, low, broadcast_quad(x, r)), high, broadcast_quad(x, r + 4))


@njit
def four_rows(x, r, stride, k_size, w, p, second, sums, q):
    """sums[q : q + 4 * COLUMNS] = four rows of k_size codes from x[r] times a tile of nibbles from w[p]."""
    r1, r2, r3 = r + stride, r + 2 * stride, r + 3 * stride
    a0, a1, b0, b1, c0, c1, d0, d1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
    for start in range(0, k_size, DEEP):
        s0, s1, t0, t1 = zero_words(), zero_words(), zero_words(), zero_words()
        u0, u1, v0, v1 = zero_words(), zero_words(), zero_words(), zero_words()
        for k in range(start, min(start + DEEP, k_size), 8):
            first, other = load_bytes(w, p), load_bytes(w, p + second)
            low0, high0, low1, high1 = low_nibbles(first), high_nibbles(first), low_nibbles(other), high_nibbles(other)
            s0, s1 = add_step(s0, low0, high0, x, r + k), add_step(s1, low1, high1, x, r + k)
            t0, t1 = add_step(t0, low0, high0, x, r1 + k), add_step(t1, low1, high1, x, r1 + k)
            u0, u1 = add_step(u0, low0, high0, x, r2 + k), add_step(u1, low1, high1, x, r2 + k)
            v0, v1 = add_step(v0, low0, high0, x, r3 + k), add_step(v1, low1, high1, x, r3 + k)
            p += 4 * PANEL
        a0, a1, b0, b1 = add_pairs(a0, s0), add_pairs(a1, s1), add_pairs(b0, t0), add_pairs(b1, t1)
        c0, c1, d0, d1 = add_pairs(c0, u0), add_pairs(c1, u1), add_pairs(d0, v0), add_pairs(d1, v1)
    store(sums, q, a0), store(sums, q + LANES, a1)
    store(sums, q + COLUMNS, b0), store(sums, q + COLUMNS + LANES, b1)
    store(sums, q + 2 * COLUMNS, c0), store(sums, q + 2 * COLUMNS + LANES, c1)
    store(sums, q + 3 * COLUMNS, d0), store(sums, q + 3 * COLUMNS + LANES, d1)


@njit
def one_row(x, r, k_size, w, p, second, sums, q):
    """The same for a single row."""
    a0, a1 = zero(), zero()
    for start in range(0, k_size, DEEP):
        s0, s1 = zero_words(), zero_words()
        for k in range(start, min(start + DEEP, k_size), 8):
            first, other = load_bytes(w, p), load_bytes(w, p + second)
            s0 = add_step(s0, low_nibbles(first), high_nibbles(first), x, r + k)
            s1 = add_step(s1, low_nibbles(other), high_nibbles(other), x, r + k)
            p += 4 * PANEL
        a0, a1 = add_pairs(a0, s0), add_pairs(a1, s1)
    store(sums, q, a0), store(sums, q + LANES, a1)


@njit
def block_sums(x, first, rows, stride, k, k_size, w, p, second, sums):
    """sums[row * COLUMNS + column] over k_size codes from column k of x."""
    if rows < 4:
        for row in range(rows):
            one_row(x, (first + row) * stride + k, k_size, w, p, second, sums, row * COLUMNS)
        return
    for row in range(0, rows, 4):
        start = min(row, rows - 4)
        four_rows(x, (first + start) * stride + k, stride, k_size, w, p, second, sums, start * COLUMNS)


@njit
def add_group(sums, rows, offsets, w_scale, y, column, width):
    """y[row, i] += (sums - 8 * offset) * w_scale."""
    for row in range(rows):
        offset = 8 * offsets[row]
        for i in range(width):
            y[row, i] += np.float32(sums[row * COLUMNS + i] - offset) * w_scale[column + i]


@compiled
def multiply_groups(x, group_sums, row_scale, w, w_scale, bias, relu, out, part):
    """out (M, N) float32 from codes x (M, K) int8 and nibbles w; w_scale (groups, N); part: rows and tiles, each (first, end)."""
    (groups, n), k = w_scale.shape, x.shape[1]
    group, panels, stride = k // groups, -(-n // PANEL), k * PANEL // 2
    codes, sums, y = x.reshape(-1), np.empty((BLOCK + 4) * COLUMNS, np.int32), np.empty((BLOCK, COLUMNS), np.float32)
    for first in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - first)
        for tile in range(part[2], part[3]):
            panel, column = tile * PANELS, tile * COLUMNS
            second = 4 * LANES if PANELS == 1 else (stride if panel + 1 < panels else 0)
            width = min(COLUMNS, n - column)
            y[:rows] = 0
            for g in range(groups):
                p = panel * stride + g * group * PANEL // 2
                block_sums(codes, first, rows, k, g * group, group, w, p, second, sums)
                add_group(sums, rows, group_sums[g, first : first + rows], w_scale[g], y, column, width)
            for row in range(rows):
                for i in range(width):
                    value = y[row, i] * row_scale[first + row] + bias[column + i]
                    out[first + row, column + i] = max(value, np.float32(0)) if relu else value


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n = x.shape, weight.scale.shape[1]
    out = torch.empty(m, n)
    if m == 0:
        return out
    if activations == "float32":
        return _with_floats(x, weight, bias, activation, out)
    codes, scale, _ = quantized("int4_linear", x, k, np.int8)
    group_sums = torch.from_numpy(codes).reshape(m, len(weight.scale), -1).sum(2, dtype=torch.int32).T.contiguous().numpy()
    operands = (codes, group_sums, scale, flat(weight.codes), weight.scale.numpy(), bias_or_zeros(bias, n), activation == "relu")
    run(multiply_groups, (*operands, out.numpy()), parts_of(m, n, k))
    return finish(out, activation)


def _with_floats(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, out: Tensor) -> Tensor:
    """Float activations: the weights become floats, CHUNK outputs at a time, and torch multiplies."""
    n = out.shape[1]
    for first in range(0, n, CHUNK):
        end = min(first + CHUNK, n)
        panels = weight.codes[first // PANEL : -(-end // PANEL)]
        part = Int4Weight(panels, weight.scale[:, first:end], weight.in_features)
        out[:, first:end] = F.linear(x, part.dense(), None if bias is None else bias[first:end])
    return F.relu_(out) if activation == "relu" else finish(out, activation)
