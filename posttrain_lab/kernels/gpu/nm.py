"""nm_linear: 2:4 weights read packed, spread to four in registers, multiplied as float32.

What is saved is memory traffic: 2.25 bytes a weight instead of 4. The sparse tensor cores of sm_80 and later, which skip the
zeros, take no float32, and Triton does not reach them.
"""

import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from posttrain_lab.kernels.sparse_weights import NMWeight

from .epilogue import tile_of, with_bias
from .launch import Launch, TiledKernel, empty, rows_of, tile


@triton.jit
def multiply_pairs(x, weight, bias, out, sizes, strides, BM: constexpr, BN: constexpr, BK: constexpr):
    """out [M, N] = x [M, 4 * groups] @ weight.T + bias; BK groups at a time, once for each place among the four.

    weight: values, positions. sizes: M, N, groups. strides: of a row of x, out.
    """
    values, positions = weight
    m_size, n_size, groups = sizes
    m, n = tile_of(tl.program_id(0), m_size, n_size, BM, BN)
    rows, starts = x + m.to(tl.int64)[:, None] * strides[0], n.to(tl.int64)[None, :] * groups
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, groups, BK):
        group = start + tl.arange(0, BK)
        inside = (n[None, :] < n_size) & (group[:, None] < groups)
        position = tl.load(positions + starts + group[:, None], mask=inside, other=0)
        first = tl.load(values + (starts + group[:, None]) * 2, mask=inside, other=0.0)
        second = tl.load(values + (starts + group[:, None]) * 2 + 1, mask=inside, other=0.0)
        x_inside = (m[:, None] < m_size) & (group[None, :] < groups)
        for place in tl.static_range(4):  # type: ignore[misc]  # the compiler's, not Python's
            a = tl.load(rows + group[None, :] * 4 + place, mask=x_inside, other=0.0)
            b = tl.where((position & 3) == place, first, tl.where((position >> 2) == place, second, 0.0))
            total = tl.dot(a, b, total, input_precision="ieee")
    y = with_bias(total, bias, n, n_size)
    place = out + m.to(tl.int64)[:, None] * strides[1] + n[None, :]
    tl.store(place, y, mask=(m[:, None] < m_size) & (n[None, :] < n_size))


PAIRS = TiledKernel(
    multiply_pairs, tile(4, 2, BM=32, BN=32, BK=16), (tile(8, 2, BM=64, BN=64, BK=16), tile(4, 2, BM=16, BN=64, BK=32))
)


def plan(x: Tensor, weight: NMWeight, bias: Tensor | None, out: Tensor) -> Launch:
    """x [M, K] with K side by side -> out [M, N]."""
    m, (n, groups) = len(x), weight.positions.shape
    packed, strides = (weight.values.contiguous(), weight.positions.contiguous()), (x.stride(0), out.stride(0))
    arguments = {"x": x, "weight": packed, "bias": bias, "out": out, "sizes": (m, n, groups), "strides": strides}

    def grid(sizes: dict[str, int]) -> tuple[int]:
        return (triton.cdiv(m, sizes["BM"]) * triton.cdiv(n, sizes["BN"]),)

    launch = Launch(PAIRS, arguments, {}, grid, (m, n, 4 * groups))
    return launch.with_default(BM=16) if m <= 16 else launch


def nm_linear(x: Tensor, weight: NMWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    out = empty(x, len(x), len(weight.positions))
    if len(x):
        plan(rows_of(x), weight, None if bias is None else bias.detach().contiguous(), out).run()
    return out
