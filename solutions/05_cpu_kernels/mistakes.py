"""Unit 05: wrong answers that no message names, and (in right_answers.py) right ones of another shape. They prove the grader."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch
from torch.nn import functional as F

from posttrain_lab.kernels.cpu.notebook import in_tiles
from posttrain_lab.kernels.cpu.simd import broadcast_pair, load_widen, multiply_add_pairs

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("right_answers.py"))))
ALTERNATIVES = right.ALTERNATIVES


def of(function, change):
    """The right answer with something done to it."""
    return lambda *args: change(function(*args), *args)


# ---- wrong steps, in real vectors: they reach the check through the compiler, as a student's do
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


def tile_in_floats(a, b, tile):
    return (a.double() @ b.double()).to(torch.int32)


def tile_in_place(a, b, tile):
    result = right.tile_by_slices(a, b, tile)
    a.zero_()
    return result


def nm_sorted_by_place_from_the_end(weight):
    values, positions = right.nm_pack_by_loops(weight)
    return values.flip(2), ((positions >> 2) + 4 * (positions & 3)).to(torch.uint8)


WRONG = {
    "arithmetic_intensity": (
        of(right.intensity_by_parts, lambda y, *_: round(y, 2)),
        of(right.intensity_by_parts, lambda y, *_: int(y)),
        of(right.intensity_by_parts, lambda y, *_: torch.tensor(y)),
        lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n) + 8 * m * n),
        lambda m, k, n, b: 2 * m * k * n / (b * (m + k + n)),
        lambda m, k, n, b: right.intensity_by_parts(m, n, k, b),
        lambda m, k, n, b: 2 * m * k * n // (b * (m * k + k * n) + 4 * m * n),
    ),
    "attainable": (
        lambda intensity, peak, bandwidth: min(peak, bandwidth),
        lambda intensity, peak, bandwidth: min(peak, intensity),
        lambda intensity, peak, bandwidth: min(peak * intensity, bandwidth),
        lambda intensity, peak, bandwidth: min(peak, 2 * intensity * bandwidth),
        of(right.attainable_by_cases, lambda y, *_: str(y)),
    ),
    "int8_dot": (
        of(right.dot_matmul, lambda y, *_: float(y)),
        of(right.dot_matmul, lambda y, *_: min(y, 2**15 - 1)),
        lambda a, b: int((a.double() @ b.double()).item()),
        lambda a, b: right.dot_matmul(a[1:], b[1:]),
        lambda a, b: right.dot_matmul(a.clamp(min=-127), b),
        lambda a, b: right.dot_matmul(a, b.flip(0)),
        lambda a, b: int(F.linear(a.half(), b.half()[None]).item()),
    ),
    "pack_weights": (
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
        of(right.unpack_by_index, lambda y, *_: y.abs()),
        of(right.unpack_by_index, lambda y, *_: y.to(torch.int32)),
        of(right.unpack_by_index, lambda y, *_: y.flip(0)),
        of(right.unpack_by_index, lambda y, *_: y.flip(1)),
        lambda panels, n, k: right.unpack_by_index(panels, n, k - 1),
        lambda panels, n, k: panels[0].permute(1, 0, 2).flatten(1)[:n, :k],
    ),
    "tile_matmul": (
        tile_in_floats,
        tile_in_place,
        of(right.tile_by_slices, lambda y, *_: y.long()),
        of(right.tile_by_slices, lambda y, *_: y.abs()),
        lambda a, b, tile: right.tile_by_slices(a[:, : tile * 2], b[: tile * 2], tile),
        lambda a, b, tile: right.tile_by_slices(a.clamp(min=-127), b, tile),
        lambda a, b, tile: right.tile_by_slices(b.T, a.T, tile),
    ),
    "simd_matmul": (
        weights_of_the_next_pair,
        rows_too_near,
        one_sum_for_all,
        adds_to_a_number,
        forgets_the_weights,
        no_decorator,
        pairs_in_torch,
    ),
    "pack_int4": (
        of(right.pack4_by_sum, lambda y, *_: y.long()),
        of(right.pack4_by_sum, lambda y, *_: y.flip(1)),
        of(right.pack4_by_sum, lambda y, *_: y.T.contiguous()),
        of(right.pack4_by_sum, lambda y, *_: y.flatten()),
        lambda codes: right.pack4_by_sum(codes.clamp(min=-7)),
        lambda codes: right.pack4_by_sum(F.pad(codes, (1, 0))[:, : codes.shape[1]]),
        lambda codes: right.pack4_by_sum(F.pad(codes, (0, codes.shape[1] % 2), value=-1)),
    ),
    "unpack_int4": (
        of(right.unpack4_by_table, lambda y, *_: y.abs()),
        of(right.unpack4_by_table, lambda y, *_: y.long()),
        of(right.unpack4_by_table, lambda y, *_: y.clamp(min=-7)),
        of(right.unpack4_by_table, lambda y, *_: y.flip(1)),
        of(right.unpack4_by_table, lambda y, *_: y.float()),
        lambda packed, k: right.unpack4_by_table(packed.bitwise_not(), k),
    ),
    "csr_matmul": (
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
        nm_sorted_by_place_from_the_end,
        of(right.nm_pack_by_loops, lambda y, *_: y[0]),
        of(right.nm_pack_by_loops, lambda y, *_: (y[1], y[0])),
        of(right.nm_pack_by_loops, lambda y, *_: (y[0].flatten(1), y[1])),
        of(right.nm_pack_by_loops, lambda y, *_: (y[0], y[1].long())),
        of(right.nm_pack_by_loops, lambda y, *_: (y[0], y[1] + 1)),
        lambda weight: right.nm_pack_by_loops(weight.flip(1)),
    ),
    "nm_matmul": (
        of(right.nm_by_dense, lambda y, *_: y.abs()),
        of(right.nm_by_dense, lambda y, *_: y.half()),
        of(right.nm_by_dense, lambda y, *_: y.flip(0).roll(1)),
        lambda values, positions, x: right.nm_by_dense(values, positions, x.flip(0)),
        lambda values, positions, x: right.nm_by_dense(values.flip(1), positions, x),
        lambda values, positions, x: right.nm_by_dense(values.abs(), positions, x),
        lambda values, positions, x: right.nm_by_dense(values, positions.flip(1), x) + 1,
    ),
}
