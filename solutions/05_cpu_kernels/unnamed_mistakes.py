"""Unit 05: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F

from posttrain_lab import kernels
from posttrain_lab.kernels.cpu.notebook import add_block, in_tiles, on_tensors
from posttrain_lab.kernels.cpu.simd import broadcast_pair, load_widen, multiply_add_pairs
from posttrain_lab.kernels.panel_layout import to_panels
from posttrain_lab.quantization.packing import pack_codes

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def of(function, change):
    """The right answer, changed."""
    return lambda *args: change(function(*args), *args)


# ---- wrong steps, with real vectors: they are compiled, as a student's are
@in_tiles
def weights_of_the_next_pair(a, b, c, d, x, r, row, w, p):
    pairs = load_widen(w, p + 32)
    a, b = multiply_add_pairs(a, broadcast_pair(x, r), pairs), multiply_add_pairs(b, broadcast_pair(x, r + row), pairs)
    return (
        a,
        b,
        multiply_add_pairs(c, broadcast_pair(x, r + 2 * row), pairs),
        multiply_add_pairs(d, broadcast_pair(x, r + 3 * row), pairs),
    )


@in_tiles
def rows_too_near(a, b, c, d, x, r, row, w, p):
    pairs = load_widen(w, p)
    a, b = multiply_add_pairs(a, broadcast_pair(x, r), pairs), multiply_add_pairs(b, broadcast_pair(x, r + 1), pairs)
    return a, b, multiply_add_pairs(c, broadcast_pair(x, r + 2), pairs), multiply_add_pairs(d, broadcast_pair(x, r + 3), pairs)


@in_tiles
def one_sum_for_all(a, b, c, d, x, r, row, w, p):
    pairs = load_widen(w, p)
    a = multiply_add_pairs(a, broadcast_pair(x, r), pairs)
    b = multiply_add_pairs(a, broadcast_pair(x, r + row), pairs)
    return a, b, multiply_add_pairs(b, broadcast_pair(x, r + 2 * row), pairs), d


@in_tiles
def adds_to_a_number(a, b, c, d, x, r, row, w, p):
    return a + 1, b, c, d


@in_tiles
def forgets_the_weights(a, b, c, d, x, r, row, w, p):
    pair = broadcast_pair(x, r)
    return multiply_add_pairs(a, pair, pair), b, c, d


def no_decorator(a, b, c, d, x, r, row, w, p):
    return a, b, c, d


def pairs_in_torch(x, panels, n, show="product"):
    w = right.unpack_by_index(panels, n, x.shape[1])
    return "a listing" if show == "assembly" else x.int() @ w.int().T


def torch_and_a_text(x, panels, n, show="product"):
    """Right numbers without any step, and a text with the instruction that the check looks for."""
    return "vpmaddwd" if show == "assembly" else x.int() @ right.unpack_by_index(panels, n, x.shape[1]).int().T


@in_tiles
def weights_one_further_a_row(a, b, c, d, x, r, row, w, p):
    a = multiply_add_pairs(a, broadcast_pair(x, r), load_widen(w, p))
    b = multiply_add_pairs(b, broadcast_pair(x, r + row), load_widen(w, p + 1))
    c = multiply_add_pairs(c, broadcast_pair(x, r + 2 * row), load_widen(w, p + 2))
    return a, b, c, multiply_add_pairs(d, broadcast_pair(x, r + 3 * row), load_widen(w, p + 3))


@in_tiles
def pair_from_the_middle(a, b, c, d, x, r, row, w, p):
    pairs = load_widen(w, p)
    a, b = multiply_add_pairs(a, broadcast_pair(x, r + 1), pairs), multiply_add_pairs(b, broadcast_pair(x, r + row + 1), pairs)
    c = multiply_add_pairs(c, broadcast_pair(x, r + 2 * row + 1), pairs)
    return a, b, c, multiply_add_pairs(d, broadcast_pair(x, r + 3 * row + 1), pairs)


# ---- wrong loops, compiled
@on_tensors
def one_block_of_everything(a, b, tile):
    out = np.zeros((a.shape[0], b.shape[1]), np.int32)
    add_block(out, a, b, (0, 0, 0), (a.shape[0], b.shape[1], a.shape[1]))
    return out


@on_tensors
def whole_product_in_doubles(a, b, tile):
    return np.dot(a.astype(np.float64), b.astype(np.float64)).astype(np.int32)


@on_tensors
def inner_blocks_overlap(a, b, tile):
    (m, k), n = a.shape, b.shape[1]
    out = np.zeros((m, n), np.int32)
    for i in range(0, m, tile):
        for j in range(0, n, tile):
            for p in range(0, k, tile):
                add_block(out, a, b, (i, j, p), (min(i + tile, m), min(j + tile, n), min(p + tile + 1, k)))
    return out


@on_tensors
def tile_not_cleared(a, b, tile):
    (m, k), n = a.shape, b.shape[1]
    out = np.full((m, n), 7, np.int32)
    for i in range(0, m, tile):
        for j in range(0, n, tile):
            for p in range(0, k, tile):
                add_block(out, a, b, (i, j, p), (min(i + tile, m), min(j + tile, n), min(p + tile, k)))
    return out


@on_tensors
def csr_one_output_too_far(values, columns, row_pointers, x):
    out = np.zeros((len(row_pointers) - 1, x.shape[1]), np.float32)
    for row in range(len(row_pointers)):
        for j in range(row_pointers[row], row_pointers[row + 1]):
            out[row] += values[j] * x[columns[j]]
    return out


@on_tensors
def csr_from_the_first_value(values, columns, row_pointers, x):
    out = np.zeros((len(row_pointers) - 1, x.shape[1]), np.float32)
    for row in range(len(out)):
        for j in range(row_pointers[row + 1]):
            out[row] += values[j] * x[columns[j]]
    return out


@on_tensors
def csr_without_empty_rows(values, columns, row_pointers, x):
    """Goes to the next row when a pointer is reached, so an empty row is skipped."""
    out, row = np.zeros((len(row_pointers) - 1, x.shape[1]), np.float32), 0
    for j in range(len(values)):
        if j == row_pointers[row + 1]:
            row += 1
        out[row] += values[j] * x[columns[j]]
    return out


@on_tensors
def nm_one_bit_too_few(values, positions, x):
    out = np.zeros((values.shape[0], x.shape[1]), np.float32)
    for o in range(values.shape[0]):
        for g in range(values.shape[1]):
            at = int(positions[o, g])
            out[o] += values[o, g, 0] * x[4 * g + (at & 3)] + values[o, g, 1] * x[4 * g + (at >> 2 & 1)]
    return out


def nm_groups_across(weight):
    """Groups of positions that are k / 4 apart."""
    return right.nm_pack_by_loops(weight.unflatten(1, (4, -1)).mT.flatten(1))


def nm_ties_by_topk(weight):
    """The later of equal magnitudes, as an unstable sort may give."""
    values, positions = right.nm_pack_by_loops(weight.flip(1))
    first, second = 3 - (positions >> 2), 3 - (positions & 3)
    return values.flip(1, 2), (first + 4 * second).flip(1)


def tile_in_floats(a, b, tile):
    return (a.double() @ b.double()).to(torch.int32)


def tile_in_place(a, b, tile):
    result = right.tile_by_slices(a, b, tile)
    a.zero_()
    return result


def nm_sorted_by_place_from_the_end(weight):
    values, positions = right.nm_pack_by_loops(weight)
    return values.flip(2), ((positions >> 2) + 4 * (positions & 3)).to(torch.uint8)


def csr_in_torch_sparse(values, columns, row_pointers, x):
    """torch's own sparse product."""
    size = (len(row_pointers) - 1, len(x))
    return torch.sparse_csr_tensor(row_pointers.long(), columns.long(), values, size=size) @ x


def pack_as_view(w):
    """Without the last copy: other strides, the same values."""
    padded = F.pad(w, (0, w.shape[1] % 2, 0, -w.shape[0] % 16))
    return padded.unflatten(1, (-1, 2)).unflatten(0, (-1, 16)).permute(0, 2, 1, 3)


WRONG = {
    "arithmetic_intensity": (
        lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n) + 4 * k * n),
        lambda m, k, n, b: 2 * m * k * n / (int(b) * (m * k + k * n) + 4 * m * n),
        lambda m, k, n, b: (2 * k - 1) * m * n / (b * (m * k + k * n) + 4 * m * n),
        lambda m, k, n, b: 2 * m * k * n / (b * m * k + k * n + 4 * m * n),
        of(right.intensity_by_parts, lambda y, *_: float(np.float32(y))),
        of(right.intensity_by_parts, lambda y, *_: round(y, 2)),
        of(right.intensity_by_parts, lambda y, *_: int(y)),
        of(right.intensity_by_parts, lambda y, *_: torch.tensor(y)),
        lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n) + 8 * m * n),
        lambda m, k, n, b: 2 * m * k * n / (b * (m + k + n)),
        lambda m, k, n, b: right.intensity_by_parts(m, n, k, b),
        lambda m, k, n, b: 2 * m * k * n // (b * (m * k + k * n) + 4 * m * n),
    ),
    "attainable": (
        lambda intensity, peak, bandwidth: float(peak * np.tanh(intensity * bandwidth / peak)),
        lambda intensity, peak, bandwidth: min(peak, intensity + bandwidth),
        lambda intensity, peak, bandwidth: min(peak, bandwidth),
        lambda intensity, peak, bandwidth: min(peak, intensity),
        lambda intensity, peak, bandwidth: min(peak * intensity, bandwidth),
        lambda intensity, peak, bandwidth: min(peak, 2 * intensity * bandwidth),
        of(right.attainable_by_cases, lambda y, *_: str(y)),
    ),
    "int8_dot": (
        lambda a, b: kernels.int8_matmul(a[None], b[:, None]).item(),
        lambda a, b: int((a * b).int().sum()),
        lambda a, b: int((a.abs().int() * b.abs().int() * a.sign() * b.sign()).sum()),
        lambda a, b: int(np.dot(a.numpy().astype(np.float64), b.numpy().astype(np.float64))),
        of(right.dot_matmul, lambda y, *_: float(y)),
        of(right.dot_matmul, lambda y, *_: min(y, 2**15 - 1)),
        lambda a, b: int((a.double() @ b.double()).item()),
        lambda a, b: right.dot_matmul(a[1:], b[1:]),
        lambda a, b: right.dot_matmul(a.clamp(min=-127), b),
        lambda a, b: right.dot_matmul(a, b.flip(0)),
        lambda a, b: int(F.linear(a.half(), b.half()[None]).item()),
    ),
    "pack_weights": (
        pack_as_view,
        lambda w: to_panels(w, 2),
        lambda w: torch.where(right.pack_by_index(torch.ones_like(w)) == 1, right.pack_by_index(w), 85),
        lambda w: right.pack_by_index(F.pad(w, (0, 2 - w.shape[1] % 2))),
        lambda w: right.pack_by_index(w[: len(w) // 16 * 16] if len(w) > 16 else w),
        of(right.pack_by_index, lambda y, *_: y.flatten()),
        of(right.pack_by_index, lambda y, *_: y.to(torch.int16)),
        of(right.pack_by_index, lambda y, *_: y.clamp(min=-127)),
        of(right.pack_by_index, lambda y, *_: y.flip(2)),
        of(right.pack_by_index, lambda y, *_: y.transpose(0, 1).contiguous()),
        of(right.pack_by_index, lambda y, *_: y.view(torch.uint8)),
        lambda w: right.pack_by_index(F.pad(w, (0, 0, 0, 1))),
        lambda w: right.pack_by_index(F.pad(w, (0, 2))),
    ),
    "unpack_weights": (
        lambda panels, n, k: right.unpack_by_index(panels, k, n),
        lambda panels, n, k: right.unpack_by_index(panels, n, k // 2 * 2),
        lambda panels, n, k: right.unpack_by_index(panels[: max(1, n // 16)], min(n, 16 * max(1, n // 16)), k),
        of(right.unpack_by_index, lambda y, *_: y.abs()),
        of(right.unpack_by_index, lambda y, *_: y.to(torch.int32)),
        of(right.unpack_by_index, lambda y, *_: y.flip(0)),
        of(right.unpack_by_index, lambda y, *_: y.flip(1)),
        lambda panels, n, k: right.unpack_by_index(panels, n, k - 1),
        lambda panels, n, k: panels[0].permute(1, 0, 2).flatten(1)[:n, :k],
    ),
    "tile_matmul": (
        one_block_of_everything,
        whole_product_in_doubles,
        inner_blocks_overlap,
        tile_not_cleared,
        lambda a, b, tile: a.int() @ b.int(),
        lambda a, b, tile: torch.matmul(a.int(), b.int()) if tile else None,
        lambda a, b, tile: kernels.int8_matmul(a, b) if tile else None,
        lambda a, b, tile: torch.from_numpy(a.numpy().astype(np.int32) @ b.numpy().astype(np.int32)) if tile else None,
        lambda a, b, tile: torch.einsum("ik,kj->ij", a.int(), b.int()) if tile else None,
        tile_in_floats,
        tile_in_place,
        of(right.tile_by_slices, lambda y, *_: y.long()),
        of(right.tile_by_slices, lambda y, *_: y.abs()),
        lambda a, b, tile: right.tile_by_slices(a[:, : tile * 2], b[: tile * 2], tile),
        lambda a, b, tile: right.tile_by_slices(a.clamp(min=-127), b, tile),
        lambda a, b, tile: right.tile_by_slices(b.T, a.T, tile),
    ),
    "simd_matmul": (
        torch_and_a_text,
        weights_one_further_a_row,
        pair_from_the_middle,
        weights_of_the_next_pair,
        rows_too_near,
        one_sum_for_all,
        adds_to_a_number,
        forgets_the_weights,
        no_decorator,
        pairs_in_torch,
    ),
    "pack_int4": (
        lambda codes: pack_codes(codes.contiguous(), 4),
        lambda codes: right.pack4_by_sum(codes.clamp(min=0)),
        lambda codes: right.pack4_by_sum(F.pad(codes, (codes.shape[1] % 2, 0))),
        lambda codes: right.pack4_by_sum(codes.flatten()[None]),
        of(right.pack4_by_sum, lambda y, *_: y.long()),
        of(right.pack4_by_sum, lambda y, *_: y.flip(1)),
        of(right.pack4_by_sum, lambda y, *_: y.T.contiguous()),
        of(right.pack4_by_sum, lambda y, *_: y.flatten()),
        lambda codes: right.pack4_by_sum(codes.clamp(min=-7)),
        lambda codes: right.pack4_by_sum(F.pad(codes, (1, 0))[:, : codes.shape[1]]),
        lambda codes: right.pack4_by_sum(F.pad(codes, (0, codes.shape[1] % 2), value=-1)),
    ),
    "unpack_int4": (
        lambda packed, k: right.unpack4_by_table((packed & 15) | (packed & 240).clamp(max=127), k),
        lambda packed, k: torch.where(right.unpack4_by_table(packed, k) == 7, -9, right.unpack4_by_table(packed, k)),
        lambda packed, k: right.unpack4_by_table(packed, k) + (right.unpack4_by_table(packed, k) < 0).to(torch.int8),
        lambda packed, k: right.unpack4_by_table(packed.reshape(1, -1), packed.numel() * 2)[0, : len(packed) * k].reshape(-1, k),
        of(right.unpack4_by_table, lambda y, *_: y.abs()),
        of(right.unpack4_by_table, lambda y, *_: y.long()),
        of(right.unpack4_by_table, lambda y, *_: y.clamp(min=-7)),
        of(right.unpack4_by_table, lambda y, *_: y.flip(1)),
        of(right.unpack4_by_table, lambda y, *_: y.float()),
        lambda packed, k: right.unpack4_by_table(packed.bitwise_not(), k),
    ),
    "csr_matmul": (
        csr_in_torch_sparse,
        csr_one_output_too_far,
        csr_from_the_first_value,
        csr_without_empty_rows,
        lambda values, columns, pointers, x: (
            kernels.sparse_linear(x.T, kernels.SparseWeight.from_csr(values, columns, pointers, len(x))).T
        ),
        of(right.csr_by_torch, lambda y, *_: y.abs()),
        of(right.csr_by_torch, lambda y, *_: y.half()),
        of(right.csr_by_torch, lambda y, *_: y.relu()),
        of(right.csr_by_torch, lambda y, *_: y.to(torch.int32)),
        lambda values, columns, pointers, x: right.csr_by_torch(values.flip(0), columns, pointers, x),
        lambda values, columns, pointers, x: right.csr_by_torch(values, columns.flip(0), pointers, x),
        lambda values, columns, pointers, x: right.csr_by_torch(values, columns, pointers, x.flip(0)),
        lambda values, columns, pointers, x: right.csr_by_torch(values.abs(), columns, pointers, x),
    ),
    "nm_pack": (
        nm_groups_across,
        nm_ties_by_topk,
        of(right.nm_pack_by_loops, lambda y, *_: (y[0], (y[1] & 3) + 8 * (y[1] >> 2))),
        nm_sorted_by_place_from_the_end,
        of(right.nm_pack_by_loops, lambda y, *_: y[0]),
        of(right.nm_pack_by_loops, lambda y, *_: (y[1], y[0])),
        of(right.nm_pack_by_loops, lambda y, *_: (y[0].flatten(1), y[1])),
        of(right.nm_pack_by_loops, lambda y, *_: (y[0], y[1].long())),
        of(right.nm_pack_by_loops, lambda y, *_: (y[0], y[1] + 1)),
        lambda weight: right.nm_pack_by_loops(weight.flip(1)),
    ),
    "nm_matmul": (
        nm_one_bit_too_few,
        lambda values, positions, x: kernels.nm_linear(x.T, kernels.NMWeight(values, positions)).T,
        lambda values, positions, x: right.nm_by_dense(values, positions & 3 | (positions & 3) << 2, x),
        of(right.nm_by_dense, lambda y, *_: y.abs()),
        of(right.nm_by_dense, lambda y, *_: y.half()),
        of(right.nm_by_dense, lambda y, *_: y.flip(0).roll(1)),
        lambda values, positions, x: right.nm_by_dense(values, positions, x.flip(0)),
        lambda values, positions, x: right.nm_by_dense(values.flip(1), positions, x),
        lambda values, positions, x: right.nm_by_dense(values.abs(), positions, x),
        lambda values, positions, x: right.nm_by_dense(values, positions.flip(1), x) + 1,
    ),
}
