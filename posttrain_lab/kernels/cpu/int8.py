"""int8 x int8 -> int32, exact, near the peak of the machine's integer multiplier.

The trick: int8 values widened to int16 can be multiplied and added in pairs without any rounding or saturation, and
machines have one instruction for "multiply 16-bit pairs, add neighbours into 32 bits" (vpmaddwd on x86).

- Many rows: the right matrix is packed so that the kernel reads it strictly forward, and a tile of 4 x COLUMNS
  results stays in registers while k runs over the whole inner size.
- Few rows: packing would cost more than it saves, so dot products run along the rows of the transposed right matrix.

A last tile that would stick out is moved back until it fits: some results are computed twice, and no tile needs a
special case. Source of the tiling: Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

import torch
from numba import njit
from torch import Tensor
from torch.nn import functional as F

from .simd import LANES, broadcast_pair, load, load_widen, multiply_add_pairs, store, total, zero
from .threads import compiled, cut, flat, run

ROWS, COLUMNS = 4, 2 * LANES  # the tile of results that lives in registers: 4 x 2 vectors
PACK_FROM = 12  # rows of the left matrix; with fewer, packing the right one takes longer than it saves


def pack_pairs(w: Tensor) -> Tensor:
    """w (N, K) int8, N >= C -> [ceil(N/C)][ceil(K/2)][C][2] int8, flat: pairs of k for C = COLUMNS columns side by side.

    The last panel holds the last C columns, so it repeats some where C does not divide N; a k too many is 0.
    """
    n, k = w.shape
    if n % COLUMNS:
        w = torch.cat((w[: n - n % COLUMNS], w[-COLUMNS:]))
    pairs = F.pad(w, (0, k % 2)).view(torch.int16)  # pad copies, so two int8 can be seen as one aligned int16
    return pairs.unflatten(0, (-1, COLUMNS)).transpose(1, 2).contiguous().view(torch.int8).flatten()


@njit
def add_row(t0, t1, pair, w0, w1):
    """One row of the tile: COLUMNS sums, two more k."""
    return multiply_add_pairs(t0, pair, w0), multiply_add_pairs(t1, pair, w1)


@njit
def store_row(out, q, t0, t1):
    """out[q : q + COLUMNS] = the sums of a row."""
    store(out, q, t0)
    store(out, q + LANES, t1)


@compiled
def multiply_tiles(x, w, out, shape, part):
    """x (M, K) int16, flat, K even; w from `pack_pairs`; out (M, N) int32, flat; N >= COLUMNS.

    shape: (K, N); part: (first row, end row, first panel, end panel), at least four rows. Rows go in blocks of 64: they
    stay in the cache while all panels pass by.
    """
    k_size, n_size = shape
    row_start, row_end, panel_start, panel_end = part
    for block in range(row_start, row_end, 64):
        for panel in range(panel_start, panel_end):
            for row in range(block, min(block + 64, row_end), 4):
                m, n, p = min(row, row_end - 4), min(panel * COLUMNS, n_size - COLUMNS), panel * k_size * COLUMNS
                r0, r1, r2, r3 = m * k_size, (m + 1) * k_size, (m + 2) * k_size, (m + 3) * k_size
                a0, a1, b0, b1, c0, c1, d0, d1 = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
                for k in range(0, k_size, 2):
                    w0, w1 = load_widen(w, p), load_widen(w, p + COLUMNS)
                    a0, a1 = add_row(a0, a1, broadcast_pair(x, r0 + k), w0, w1)
                    b0, b1 = add_row(b0, b1, broadcast_pair(x, r1 + k), w0, w1)
                    c0, c1 = add_row(c0, c1, broadcast_pair(x, r2 + k), w0, w1)
                    d0, d1 = add_row(d0, d1, broadcast_pair(x, r3 + k), w0, w1)
                    p += 2 * COLUMNS
                q = m * n_size + n
                store_row(out, q, a0, a1)
                store_row(out, q + n_size, b0, b1)
                store_row(out, q + 2 * n_size, c0, c1)
                store_row(out, q + 3 * n_size, d0, d1)


@compiled
def multiply_rows(x, w, out, shape, part):
    """x (M, K) int16, w (N, K) int8, out (M, N) int32, all flat; N >= 4. Dot products along k, four columns at a time.

    shape: (K, N); part: (first row, end row, first column, end column), at least four columns.
    """
    k_size, n_size = shape
    row_start, row_end, column_start, column_end = part
    step = 2 * LANES
    whole = k_size // step * step
    for column in range(column_start, column_end, 4):
        n = min(column, column_end - 4)
        w0, w1, w2, w3 = n * k_size, (n + 1) * k_size, (n + 2) * k_size, (n + 3) * k_size
        for m in range(row_start, row_end):
            a, b, c, d = zero(), zero(), zero(), zero()
            r = m * k_size
            for k in range(0, whole, step):
                line = load(x, r + k)
                a = multiply_add_pairs(a, line, load_widen(w, w0 + k))
                b = multiply_add_pairs(b, line, load_widen(w, w1 + k))
                c = multiply_add_pairs(c, line, load_widen(w, w2 + k))
                d = multiply_add_pairs(d, line, load_widen(w, w3 + k))
            s0, s1, s2, s3 = total(a), total(b), total(c), total(d)
            for k in range(whole, k_size):
                s0 += x[r + k] * w[w0 + k]
                s1 += x[r + k] * w[w1 + k]
                s2 += x[r + k] * w[w2 + k]
                s3 += x[r + k] * w[w3 + k]
            q = m * n_size + n
            out[q], out[q + 1], out[q + 2], out[q + 3] = s0, s1, s2, s3


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) int8, b (K, N) int8 -> (M, N) int32; shapes and dtypes were checked by `posttrain_lab.kernels`."""
    (m, k), n = a.shape, b.shape[1]
    if 0 in (m, k, n):
        return torch.zeros(m, n, dtype=torch.int32)
    multiply, least = (_few_rows, 4) if m < PACK_FROM else (_many_rows, COLUMNS)
    w = b.t().contiguous()
    if n >= least:
        return multiply(a, w, (m, k, n))
    return multiply(a, F.pad(w, (0, 0, 0, least - n)), (m, k, least))[:, :n].contiguous()


def _few_rows(a: Tensor, w: Tensor, size: tuple[int, int, int]) -> Tensor:
    m, k, n = size
    out = torch.empty(m, n, dtype=torch.int32)
    parts = [(0, m, first, end) for first, end in cut(n, 4, m * n * k)]
    run(multiply_rows, (flat(a.to(torch.int16)), flat(w), flat(out), (k, n)), parts)
    return out


def _many_rows(a: Tensor, w: Tensor, size: tuple[int, int, int]) -> Tensor:
    m, k, n = size
    panels, even = -(-n // COLUMNS), k + k % 2
    x = a.to(torch.int16) if k == even else F.pad(a.to(torch.int16), (0, 1))
    out = torch.empty(m, n, dtype=torch.int32)
    if n > m:
        parts = [(0, m, first, end) for first, end in cut(panels, 1, m * n * k)]
    else:
        parts = [(first, end, 0, panels) for first, end in cut(m, ROWS, m * n * k)]
    run(multiply_tiles, (flat(x), flat(pack_pairs(w)), flat(out), (even, n)), parts)
    return out
