"""int8 x int8 -> int32, exact, near the peak of the machine's integer multiplier.

- Many rows: Winograd's inner product (`winograd.py`). With VNNI, where an instruction multiplies fours of bytes, the right matrix is
  packed into panels, then the tiles of `int8_microkernel.py` run over it.
- Few rows: packing would cost more than it saves, so dot products run along the rows of the transposed right matrix.

Source of the tiling: Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.processor import SHIFT, VNNI

from .int8_microkernel import BLOCK, COLUMNS, FEW, OutputTile, Rows, block_sums, rows_of_matrix, store_plain_sums, tile_at
from .jit_cache import compiled, inner
from .linear import work_ranges
from .simd import LANES, load, load_widen, multiply_add_pairs, store, store_transposed, total, zero
from .simd_bytes import copy_quad, load_bytes, multiply_add_quads, repeat_quad
from .threads import cut, flat, run
from .winograd import multiply_split

PACK_FROM = 8  # rows of the left matrix; with fewer, packing the right one takes longer than it saves
STEP = 4  # codes that VNNI multiplies at once


@inner
def multiply_blocks(x, w, compensation, out, work_range, scratch):
    """`multiply_tiles`, given `scratch`: (starts, offsets, sums)."""
    (first_row, end_row, first_tile, end_tile), (starts, offsets, sums) = work_range, scratch
    n, panels = len(compensation), -(-len(compensation) // PANEL)
    k_size = len(w) // (panels * PANEL)
    rows_of_matrix(starts, offsets, k_size)
    for first in range(first_row, end_row, BLOCK):
        rows = Rows(x[first * k_size :], starts, offsets, k_size, min(BLOCK, end_row - first))
        for row in range(rows.count, FEW):
            starts[row] = 0  # there is no such row: the first one again
        for tile in range(first_tile, end_tile):
            block_sums(rows, tile_at(rows.codes, w, tile, panels, k_size * PANEL, 0), sums)
            to = OutputTile(out, first * n, n, tile * COLUMNS, min(COLUMNS, n - tile * COLUMNS))
            store_plain_sums(sums, rows.count, compensation, to)


@compiled
def multiply_tiles(x, w, compensation, out, work_range):
    """With VNNI: out (M, N) int32, flat, from inputs x (M, K) uint8 and panels w, all flat. work_range as in `work_ranges`.

    compensation (N): by how much the sums of a column are too large.
    """
    scratch = np.empty(BLOCK, np.int64), np.empty(1, np.int64), np.empty((BLOCK + 4) * COLUMNS, np.int32)
    multiply_blocks(x, w, compensation, out, work_range, scratch)


@inner
def pack_whole(codes, panel, panels, starts, many):
    """A panel with all its outputs: squares of LANES outputs x LANES steps, transposed in registers. starts: where the outputs' rows begin."""
    for half in range(0, PANEL, LANES):
        for k in range(0, many, LANES):
            k = min(k, many - LANES)  # a last square that would stick out is moved back
            store_transposed(panels, (panel * many + k) * PANEL + half, PANEL, codes, starts, half, k * STEP)


@inner
def pack_rest(codes, panel, panels, starts, outputs):
    """A panel with fewer outputs, or with few steps, number by number."""
    many = (starts[1] - starts[0]) // STEP
    for row in range(outputs):
        for k in range(many):
            copy_quad(panels, (panel * many + k) * PANEL + row, codes, starts[row] + k * STEP)


@inner
def compensate(panels, panel, many, compensation):
    """SHIFT times the sum of each output's codes: one more product, with ones, while the panel is in the nearest cache."""
    ones = repeat_quad(np.int32(0x01010101))
    for half in range(0, PANEL, LANES):
        sums = zero()
        for k in range(many):
            sums = multiply_add_quads(sums, ones, load_bytes(panels, (panel * many + k) * PANEL + half))
        store(compensation, panel * PANEL + half, sums)
    for i in range(panel * PANEL, (panel + 1) * PANEL):
        compensation[i] *= SHIFT


@compiled
def pack(codes, size, panels, compensation, work_range):
    """`to_panels` for codes int8, flat, of size (N, K), K whole steps; panels: int32, flat; compensation int32 [N, filled up to a panel].

    work_range: panels (first, end). Outputs that fill up the last panel keep what is there: nobody reads them.
    """
    (n, k_size), starts = size, np.empty(PANEL, np.int64)
    for panel in range(work_range[0], work_range[1]):
        for row in range(PANEL):
            starts[row] = (panel * PANEL + row) * k_size
        outputs = min(PANEL, n - panel * PANEL)
        if outputs == PANEL and k_size >= LANES * STEP:
            pack_whole(codes, panel, panels, starts, k_size // STEP)
        else:
            pack_rest(codes, panel, panels, starts, outputs)
        compensate(panels, panel, k_size // STEP, compensation)


@compiled
def multiply_rows(x, w, out, shape, work_range):
    """x (M, K) int16, w (N, K) int8, out (M, N) int32, all flat; N >= 4. Dot products along k, four columns at a time.

    shape: (K, N); work_range: (first row, end row, first column, end column), at least four columns.
    """
    (k_size, n_size), (row_start, row_end, column_start, column_end), step = shape, work_range, 2 * LANES
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
    w = b.t().contiguous()
    if m >= PACK_FROM:
        return _many_rows(a, w, (m, k, n))
    if n >= 4:
        return _few_rows(a, w, (m, k, n))
    return _few_rows(a, F.pad(w, (0, 0, 0, 4 - n)), (m, k, 4))[:, :n].contiguous()


def _few_rows(a: Tensor, w: Tensor, size: tuple[int, int, int]) -> Tensor:
    m, k, n = size
    out = torch.empty(m, n, dtype=torch.int32)
    ranges = [(0, m, first, end) for first, end in cut(n, 4, m * n * k)]
    run(multiply_rows, (flat(a.to(torch.int16)), flat(w), flat(out), (k, n)), ranges)
    return out


def _panels(w: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The panels of w (N, K) int8, flat, made faster than `to_panels` makes them; and by how much the sums of each output are too large."""
    n, k = w.shape
    filled = F.pad(w, (0, -k % STEP)) if k % STEP else w
    many = -(-n // PANEL)
    panels, compensation = np.empty(many * PANEL * filled.shape[1] // STEP, np.int32), np.empty(many * PANEL, np.int32)
    run(pack, (flat(filled), (n, filled.shape[1]), panels, compensation), cut(many, 1, 8 * w.numel()))
    return panels.view(np.int8), compensation[:n]


def _many_rows(a: Tensor, w: Tensor, size: tuple[int, int, int]) -> Tensor:
    m, k, n = size
    if VNNI:
        return _by_bytes(a, w, size)
    out = torch.empty(m, n, dtype=torch.int32)
    run(multiply_split, (flat(a), flat(w), flat(out), (k, n)), work_ranges(m, n, k))
    return out


def _by_bytes(a: Tensor, w: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Exact with VNNI; with AVX2 alone only for weights whose pairs do not saturate (see `../panel_layout.py`)."""
    m, k, n = size
    out = torch.empty(m, n, dtype=torch.int32)
    x, (panels, compensation) = F.pad(a.view(torch.uint8) ^ SHIFT, (0, -k % STEP)), _panels(w)
    run(multiply_tiles, (flat(x), panels, compensation, flat(out)), work_ranges(m, n, k))
    return out
