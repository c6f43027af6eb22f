"""int4_linear: two weights in a byte, multiplied as they are taken apart.

A nibble (0..15) times an int8, added in pairs, stays below 2^12, so eight pairs fit an int16 before they must be widened: twice
as many products in an instruction as `int8_linear` has without VNNI. Each group's sum is scaled by its own scale and added in
float32. Nibbles are codes + 8, so every sum is too large by 8 times the group's sum of x.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.layout import PANEL
from posttrain_lab.kernels.packed import Int4Weight

from .linear import bias_or_zeros, finish, parts_of, quantized
from .panels import BLOCK, COLUMNS, PANELS
from .simd import LANES, zero
from .simd_bytes import add_products, broadcast_quad, high_nibbles, load_bytes, low_nibbles, sum_products, zero_products
from .simd_floats import add_scaled, store_scaled, zero_scaled
from .threads import compiled, cut, flat, inner, run

DEEP = 32  # k in a row before 16 bits may be full: 8 pairs of each lane
CHUNK = 256  # outputs whose float weights exist at once, with float activations


@inner
def add_step(t, low, high, x, r):
    """One row of a vector of the tile: eight more k."""
    return add_products(add_products(t, low, broadcast_quad(x, r)), high, broadcast_quad(x, r + 4))


@inner
def store_row(y, q, t0, t1):
    """y[q : q + COLUMNS] = a row of the tile."""
    store_scaled(y, q, t0)
    store_scaled(y, q + LANES, t1)


@inner
def four_rows(x, r, k_size, group, offsets, row, w, p, second, scales, column, beside, y, q):
    """y[q : q + 4 * COLUMNS] = four rows of x from x[r], scaled group by group, times a tile of nibbles from w[p].

    offsets [rows][groups]: 8 times the sums of x; scales [groups][N16] flat, from `column` and from `column + beside`.
    """
    r1, r2, r3 = r + k_size, r + 2 * k_size, r + 3 * k_size
    e0, e1, f0, f1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    g0, g1, h0, h1 = zero_scaled(), zero_scaled(), zero_scaled(), zero_scaled()
    for number in range(k_size // group):
        a0, a1, b0, b1, c0, c1, d0, d1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
        for start in range(number * group, (number + 1) * group, DEEP):
            s0, s1, t0, t1 = zero_products(), zero_products(), zero_products(), zero_products()
            u0, u1, v0, v1 = zero_products(), zero_products(), zero_products(), zero_products()
            for k in range(start, min(start + DEEP, (number + 1) * group), 8):
                first, other = load_bytes(w, p), load_bytes(w, p + second)
                low0, high0, low1, high1 = low_nibbles(first), high_nibbles(first), low_nibbles(other), high_nibbles(other)
                s0, s1 = add_step(s0, low0, high0, x, r + k), add_step(s1, low1, high1, x, r + k)
                t0, t1 = add_step(t0, low0, high0, x, r1 + k), add_step(t1, low1, high1, x, r1 + k)
                u0, u1 = add_step(u0, low0, high0, x, r2 + k), add_step(u1, low1, high1, x, r2 + k)
                v0, v1 = add_step(v0, low0, high0, x, r3 + k), add_step(v1, low1, high1, x, r3 + k)
                p += 4 * PANEL
            a0, a1, b0, b1 = sum_products(a0, s0), sum_products(a1, s1), sum_products(b0, t0), sum_products(b1, t1)
            c0, c1, d0, d1 = sum_products(c0, u0), sum_products(c1, u1), sum_products(d0, v0), sum_products(d1, v1)
        i, j = column, column + beside
        e0, e1 = add_scaled(e0, a0, offsets[row, number], scales, i), add_scaled(e1, a1, offsets[row, number], scales, j)
        f0, f1 = add_scaled(f0, b0, offsets[row + 1, number], scales, i), add_scaled(f1, b1, offsets[row + 1, number], scales, j)
        g0, g1 = add_scaled(g0, c0, offsets[row + 2, number], scales, i), add_scaled(g1, c1, offsets[row + 2, number], scales, j)
        h0, h1 = add_scaled(h0, d0, offsets[row + 3, number], scales, i), add_scaled(h1, d1, offsets[row + 3, number], scales, j)
        column += len(scales) // (k_size // group)
    store_row(y, q, e0, e1)
    store_row(y, q + COLUMNS, f0, f1)
    store_row(y, q + 2 * COLUMNS, g0, g1)
    store_row(y, q + 3 * COLUMNS, h0, h1)


@inner
def one_row(x, r, k_size, group, offsets, row, w, p, second, scales, column, beside, y, q):
    """The same for a single row."""
    e0, e1 = zero_scaled(), zero_scaled()
    for number in range(k_size // group):
        a0, a1 = zero(), zero()
        for start in range(number * group, (number + 1) * group, DEEP):
            s0, s1 = zero_products(), zero_products()
            for k in range(start, min(start + DEEP, (number + 1) * group), 8):
                first, other = load_bytes(w, p), load_bytes(w, p + second)
                s0 = add_step(s0, low_nibbles(first), high_nibbles(first), x, r + k)
                s1 = add_step(s1, low_nibbles(other), high_nibbles(other), x, r + k)
                p += 4 * PANEL
            a0, a1 = sum_products(a0, s0), sum_products(a1, s1)
        e0 = add_scaled(e0, a0, offsets[row, number], scales, column)
        e1 = add_scaled(e1, a1, offsets[row, number], scales, column + beside)
        column += len(scales) // (k_size // group)
    store_row(y, q, e0, e1)


@compiled
def group_sums(codes, group, sums, part):
    """sums[row, g] = 8 times the sum of the codes of a group, for the rows of `part`."""
    for row in range(part[0], part[1]):
        for g in range(sums.shape[1]):
            there, total = codes[row, g * group : (g + 1) * group], np.int32(0)
            for k in range(group):
                total += there[k]
            sums[row, g] = 8 * total


@compiled
def multiply_groups(x, group, offsets, row_scale, w, scales, bias, relu, out, part):
    """out (M, N) float32 from codes x (M, K) int8 and nibbles w; part: rows and tiles, each (first, end)."""
    n, k = out.shape[1], x.shape[1]
    panels, stride = -(-n // PANEL), k * PANEL // 2
    codes, y = x.reshape(-1), np.empty((BLOCK + 4) * COLUMNS, np.float32)
    for begin in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - begin)
        for tile in range(part[2], part[3]):
            panel, column = tile * PANELS, tile * COLUMNS
            second, beside = 4 * LANES, LANES
            if PANELS == 2:
                second, beside = (stride, LANES) if panel + 1 < panels else (0, 0)
            p, width = panel * stride, min(COLUMNS, n - column)
            for r in range(0, rows, 4 if rows >= 4 else 1):
                r = min(r, rows - 4) if rows >= 4 else r
                at = (begin + r) * k
                if rows >= 4:
                    four_rows(codes, at, k, group, offsets, begin + r, w, p, second, scales, column, beside, y, r * COLUMNS)
                else:
                    one_row(codes, at, k, group, offsets, begin + r, w, p, second, scales, column, beside, y, r * COLUMNS)
            for r in range(rows):
                for i in range(width):
                    value = y[r * COLUMNS + i] * row_scale[begin + r] + bias[column + i]
                    out[begin + r, column + i] = max(value, np.float32(0)) if relu else value


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    (m, k), n = x.shape, weight.out_features
    out = torch.empty(m, n)
    if m == 0:
        return out
    if activations == "float32":
        return _with_floats(x, weight, bias, activation, out)
    codes, scale = quantized("int4_linear", x, k, np.int8)
    offsets = np.empty((m, k // weight.group), np.int32)
    run(group_sums, (codes, weight.group, offsets), cut(m, 1, 4 * codes.size))
    operands = (codes, weight.group, offsets, scale, flat(weight.codes), flat(weight.scale), bias_or_zeros(bias, n))
    run(multiply_groups, (*operands, activation == "relu", out.numpy()), parts_of(m, n, k))
    return finish(out, activation)


def _with_floats(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, out: Tensor) -> Tensor:
    """Float activations: the weights become floats, CHUNK outputs at a time, and torch multiplies."""
    n = out.shape[1]
    for first in range(0, n, CHUNK):
        end = min(first + CHUNK, n)
        panels = weight.codes[first // PANEL : -(-end // PANEL)]
        part = Int4Weight(panels, weight.scale[:, first : first + CHUNK], weight.in_features, end - first)
        out[:, first:end] = F.linear(x, part.dense(), None if bias is None else bias[first:end])
    return F.relu_(out) if activation == "relu" else finish(out, activation)
