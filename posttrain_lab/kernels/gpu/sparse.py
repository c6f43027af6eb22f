"""sparse_linear: a program for each row of the weight and each block of rows of x.

x and the result are turned on their side, [K, M] and [N, M]: then the M values that meet one weight lie side by side, and a
warp reads them in one go. Scattered weights give the tensor cores nothing to do: this op is bound by memory.
"""

import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from posttrain_lab.kernels.sparse_weights import SparseWeight

from .launch import Launch, TiledKernel, empty, power_of_two, tile


@triton.jit
def multiply_kept(x, weight, bias, out, m_size, strides, BM: constexpr, BK: constexpr):
    """out [N, M] = weight @ x [K, M] + bias; BK weights of a row at a time, their sums added up at the end.

    weight: values, columns, row_pointers. strides: of a row of x, out.
    """
    values, columns, row_pointers = weight
    row = tl.program_id(0)
    m = tl.program_id(1) * BM + tl.arange(0, BM)
    first, end = tl.load(row_pointers + row), tl.load(row_pointers + row + 1)
    total = tl.zeros((BK, BM), tl.float32)
    for start in range(first, end, BK):
        place = start + tl.arange(0, BK)
        value = tl.load(values + place, mask=place < end, other=0.0)
        column = tl.load(columns + place, mask=place < end, other=0).to(tl.int64)
        inside = (place[:, None] < end) & (m[None, :] < m_size)
        total += value[:, None] * tl.load(x + column[:, None] * strides[0] + m[None, :], mask=inside, other=0.0)
    y = tl.sum(total, 0)
    if bias is not None:
        y += tl.load(bias + row)
    tl.store(out + row.to(tl.int64) * strides[1] + m, y, mask=m < m_size)


KEPT = TiledKernel(multiply_kept, tile(4, 2, BM=64, BK=16))


def plan(x: Tensor, weight: SparseWeight, bias: Tensor | None, out: Tensor) -> Launch:
    """x [K, M], out [N, M], both float32 with M side by side."""
    (k, m), n = x.shape, len(out)
    packed = tuple(part.contiguous() for part in (weight.values, weight.columns, weight.row_pointers))
    arguments = {"x": x, "weight": packed, "bias": bias, "out": out, "m_size": m, "strides": (x.stride(0), out.stride(0))}
    wide = power_of_two(m, 1, 64)
    launch = Launch(KEPT, arguments, {}, lambda sizes: (n, triton.cdiv(m, sizes["BM"])), (m, n, k))
    return launch.with_default(BM=wide, BK=max(16, 256 // wide))


def sparse_linear(x: Tensor, weight: SparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    out = empty(x, len(weight.row_pointers) - 1, len(x))
    if len(x):
        plan(x.t().contiguous(), weight, None if bias is None else bias.detach().contiguous(), out).run()
    return out.t().contiguous()
