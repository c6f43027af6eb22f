"""Unit 05: right answers, written in another way, which must get all points."""

from itertools import pairwise

import numpy as np
import torch
from numba import njit
from torch.nn import functional as F

from posttrain_lab.kernels.cpu.notebook import add_block, in_tiles, on_tensors
from posttrain_lab.kernels.cpu.simd import broadcast_pair, load_widen, multiply_add_pairs


# ---- arithmetic_intensity, attainable
def intensity_by_parts(m, k, n, bytes_per_element):
    moved = m * k * bytes_per_element + k * n * bytes_per_element + m * n * 4
    return (m * k * n + m * k * n) / moved


def intensity_inverted(m, k, n, bytes_per_element):
    return 2 / (bytes_per_element / n + bytes_per_element / m + 4 / k)


def attainable_by_cases(intensity, peak, bandwidth):
    return peak if intensity >= peak / bandwidth else bandwidth * intensity


def attainable_by_time(intensity, peak, bandwidth):
    """The larger of two times, for the operations on one byte."""
    return intensity / max(1 / bandwidth, intensity / peak)


# ---- int8_dot
def dot_matmul(a, b):
    return int(a.long() @ b.long())


def dot_in_python(a, b):
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def dot_in_numpy(a, b):
    return int(np.dot(a.numpy().astype(np.int64), b.numpy().astype(np.int64)))


def dot_in_two_widths(a, b):
    """A product of two int8 numbers fits int16; the sum is torch's own int64."""
    return int((a.short() * b.short()).sum())


# ---- pack_weights, unpack_weights
def pack_by_loops(w):
    n, k = w.shape
    panels = torch.zeros(-(-n // 16), -(-k // 2), 16, 2, dtype=torch.int8)
    for row in range(n):
        for column in range(k):
            panels[row // 16, column // 2, row % 16, column % 2] = w[row, column]
    return panels


def pack_by_index(w):
    rows, columns = torch.meshgrid(torch.arange(w.shape[0]), torch.arange(w.shape[1]), indexing="ij")
    panels = w.new_zeros((w.shape[0] + 15) // 16, (w.shape[1] + 1) // 2, 16, 2)
    panels[rows // 16, columns // 2, rows % 16, columns % 2] = w
    return panels


def unpack_by_index(panels, n, k):
    rows, columns = torch.arange(n)[:, None], torch.arange(k)[None]
    return panels[rows // 16, columns // 2, rows % 16, columns % 2]


def unpack_by_panels(panels, n, k):
    return torch.cat([panel.permute(1, 0, 2).flatten(1) for panel in panels])[:n, :k]


# ---- tile_matmul
def tile_by_slices(a, b, tile):
    out = torch.zeros(a.shape[0], b.shape[1], dtype=torch.int32)
    for i in range(0, a.shape[0], tile):
        for p in range(0, a.shape[1], tile):
            out[i : i + tile] += a[i : i + tile, p : p + tile].int() @ b[p : p + tile].int()
    return out


@on_tensors
def tile_without_helper(a, b, tile):
    out = np.zeros((a.shape[0], b.shape[1]), np.int32)
    for first in range(0, a.shape[1], tile):
        for i in range(a.shape[0]):
            for j in range(b.shape[1]):
                for k in range(first, min(first + tile, a.shape[1])):
                    out[i, j] += np.int32(a[i, k]) * np.int32(b[k, j])
    return out


def tile_by_parts(a, b, tile):
    """Parts of the inner size, one after another, for all rows and columns."""
    parts = zip(a.split(tile, 1), b.split(tile), strict=True)
    return sum((part.int() @ other.int() for part, other in parts), torch.zeros(len(a), b.shape[1], dtype=torch.int32))


@on_tensors
def tile_inner_first(a, b, tile):
    (m, k), n = a.shape, b.shape[1]
    out = np.zeros((m, n), np.int32)
    for p in range(0, k, tile):
        for j in range(0, n, tile):
            for i in range(0, m, tile):
                add_block(out, a, b, (i, j, p), (min(i + tile, m), min(j + tile, n), min(p + tile, k)))
    return out


# ---- simd_matmul
@njit
def one_row(total, x, at, pairs):
    return multiply_add_pairs(total, broadcast_pair(x, at), pairs)


@in_tiles
def simd_by_helper(a, b, c, d, x, r, row, w, p):
    pairs = load_widen(w, p)
    return (
        one_row(a, x, r, pairs),
        one_row(b, x, r + row, pairs),
        one_row(c, x, r + 2 * row, pairs),
        one_row(d, x, r + 3 * row, pairs),
    )


@in_tiles
def simd_other_side(a, b, c, d, x, r, row, w, p):
    """Weights first, and loaded again for each row."""
    d = multiply_add_pairs(d, load_widen(w, p), broadcast_pair(x, r + 3 * row))
    c = multiply_add_pairs(c, load_widen(w, p), broadcast_pair(x, r + 2 * row))
    b = multiply_add_pairs(b, load_widen(w, p), broadcast_pair(x, r + row))
    return multiply_add_pairs(a, load_widen(w, p), broadcast_pair(x, r)), b, c, d


# ---- pack_int4, unpack_int4
def pack4_by_sum(codes):
    pairs = F.pad(codes, (0, codes.shape[1] % 2)).long().remainder(16).unflatten(1, (-1, 2))
    return (pairs * torch.tensor([1, 16])).sum(2).to(torch.uint8)


def pack4_in_numpy(codes):
    nibbles = np.pad(codes.numpy(), ((0, 0), (0, codes.shape[1] % 2))).astype(np.uint8) & 15
    return torch.from_numpy(nibbles[:, ::2] | (nibbles[:, 1::2] << 4))


def pack4_in_int8(codes):
    padded = F.pad(codes, (0, codes.shape[1] % 2))
    return ((padded[:, ::2] & 15) | (padded[:, 1::2] << 4)).view(torch.uint8)


def unpack4_by_table(packed, k):
    table = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1], dtype=torch.int8)
    both = torch.stack((table[(packed & 15).long()], table[(packed >> 4).long()]), 2)
    return both.reshape(len(packed), 2 * packed.shape[1])[:, :k]


def unpack4_by_xor(packed, k):
    """x ^ 8 - 8 extends the sign of four bits."""
    result = torch.empty(len(packed), 2 * packed.shape[1], dtype=torch.int8)
    result[:, ::2] = ((packed & 15) ^ 8).to(torch.int8) - 8
    result[:, 1::2] = ((packed >> 4) ^ 8).to(torch.int8) - 8
    return result[:, :k].clone()


# ---- csr_matmul
def csr_by_torch(values, columns, row_pointers, x):
    counts = row_pointers.diff().long()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return torch.zeros(len(counts), x.shape[1]).index_add_(0, rows, values[:, None] * x[columns.long()])


def csr_by_rows(values, columns, row_pointers, x):
    ends = row_pointers.tolist()
    parts = [values[i:j] @ x[columns[i:j].long()] for i, j in pairwise(ends)]
    return torch.stack(parts)


@on_tensors
def csr_scalar_loops(values, columns, row_pointers, x):
    out = np.zeros((len(row_pointers) - 1, x.shape[1]), np.float32)
    for row in range(len(out)):
        for m in range(x.shape[1]):
            total = np.float32(0)
            for j in range(row_pointers[row], row_pointers[row + 1]):
                total += values[j] * x[columns[j], m]
            out[row, m] = total
    return out


# ---- nm_pack, nm_matmul
def nm_pack_by_loops(weight):
    groups = weight.unflatten(1, (-1, 4))
    values, positions = torch.zeros(*groups.shape[:2], 2), torch.zeros(groups.shape[:2], dtype=torch.uint8)
    for row, line in enumerate(groups.tolist()):
        for g, four in enumerate(line):
            first, second = sorted(sorted(range(4), key=lambda place: (-abs(four[place]), place))[:2])
            values[row, g], positions[row, g] = torch.tensor([four[first], four[second]]), first + 4 * second
    return values, positions


def nm_pack_by_mask(weight):
    groups = weight.reshape(-1, 4)
    beaten = (groups.abs()[:, None] > groups.abs()[:, :, None]).sum(2)
    earlier = torch.tril(groups.abs()[:, None] == groups.abs()[:, :, None], -1).sum(2)
    places = (beaten + earlier < 2).nonzero()[:, 1].reshape(-1, 2)
    shape = len(weight), weight.shape[1] // 4
    positions = places[:, 0] | places[:, 1] << 2
    return groups.gather(1, places).reshape(*shape, 2), positions.reshape(shape).to(torch.uint8)


def nm_by_gather(values, positions, x):
    starts = 4 * torch.arange(positions.shape[1])
    first, second = starts + (positions & 3), starts + (positions >> 2)
    parts = values[..., :1] * x[first.long()] + values[..., 1:] * x[second.long()]
    return parts.sum(1)


def nm_by_dense(values, positions, x):
    groups = torch.zeros(*positions.shape, 4)
    groups.scatter_(2, (positions.long() % 4)[..., None], values[..., :1])
    groups.scatter_(2, (positions.long() // 4)[..., None], values[..., 1:])
    return groups.flatten(1) @ x


ALTERNATIVES = {
    "arithmetic_intensity": (intensity_by_parts, intensity_inverted),
    "attainable": (attainable_by_cases, attainable_by_time),
    "int8_dot": (dot_matmul, dot_in_python, dot_in_numpy, dot_in_two_widths),
    "pack_weights": (pack_by_loops, pack_by_index),
    "unpack_weights": (unpack_by_index, unpack_by_panels),
    "tile_matmul": (tile_by_slices, tile_without_helper, tile_by_parts, tile_inner_first),
    "simd_matmul": (simd_by_helper, simd_other_side),
    "pack_int4": (pack4_by_sum, pack4_in_numpy, pack4_in_int8),
    "unpack_int4": (unpack4_by_table, unpack4_by_xor),
    "csr_matmul": (csr_by_torch, csr_by_rows, csr_scalar_loops),
    "nm_pack": (nm_pack_by_loops, nm_pack_by_mask),
    "nm_matmul": (nm_by_gather, nm_by_dense),
}
