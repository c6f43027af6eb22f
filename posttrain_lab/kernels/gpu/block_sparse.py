"""block_sparse_linear: a program for each row of blocks and each block of rows of x.

Packed blocks are [kept][in][out], one after another: read as one tall matrix [kept * block, block] whose row p meets the input
columns[p // block] * block + p % block. So blocks of any side fill a tile: BK rows are a part of one block, or several blocks.
"""

import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from posttrain_lab.kernels.sparse_weights import BlockSparseWeight

from .epilogue import with_bias
from .launch import Launch, TiledKernel, empty, power_of_two, rows_of, tile


@triton.jit
def multiply_blocks(x, weight, bias, out, sizes, strides, BLOCK: constexpr, BM: constexpr, BN: constexpr, BK: constexpr):
    """out [M, N] = x [M, K] @ weight.T + bias in float32; the outputs of a row of blocks are the first BLOCK of BN.

    weight: values, columns, row_pointers. sizes: M, N, K. strides: of a row of x, out.
    """
    values, columns, row_pointers = weight
    m_size, n_size, k_size = sizes
    row, column = tl.program_id(0), tl.arange(0, BN)
    m, n = tl.program_id(1) * BM + tl.arange(0, BM), row * BLOCK + column
    first, end = tl.load(row_pointers + row) * BLOCK, tl.load(row_pointers + row + 1) * BLOCK
    rows = x + m.to(tl.int64)[:, None] * strides[0]
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(first, end, BK):
        p = start + tl.arange(0, BK)
        k = tl.load(columns + p // BLOCK, mask=p < end, other=0) * BLOCK + p % BLOCK
        a = tl.load(rows + k[None, :], mask=(m[:, None] < m_size) & ((p < end) & (k < k_size))[None, :], other=0.0)
        inside = (p[:, None] < end) & (column[None, :] < BLOCK)
        b = tl.load(values + p.to(tl.int64)[:, None] * BLOCK + column[None, :], mask=inside, other=0.0)
        total = tl.dot(a, b, total, input_precision="ieee")
    real = (column < BLOCK) & (n < n_size)
    y = with_bias(total, bias, n, n_size)
    tl.store(out + m.to(tl.int64)[:, None] * strides[1] + n[None, :], y, mask=(m[:, None] < m_size) & real[None, :])


BLOCKS = TiledKernel(
    multiply_blocks, tile(4, 2, BM=64, BN=32, BK=32), (tile(4, 3, BM=32, BN=32, BK=32), tile(4, 3, BM=128, BN=32, BK=16))
)


def plan(x: Tensor, weight: BlockSparseWeight, bias: Tensor | None, out: Tensor) -> Launch:
    """x [M, K] with K side by side -> out [M, N]."""
    (m, k), n = x.shape, weight.out_features
    packed = tuple(part.contiguous() for part in (weight.values, weight.columns, weight.row_pointers))
    strides = (x.stride(0), out.stride(0))
    arguments = {"x": x, "weight": packed, "bias": bias, "out": out, "sizes": (m, n, k), "strides": strides}
    rows = len(weight.row_pointers) - 1
    work = (m, weight.block, weight.values[..., 0].numel())
    launch = Launch(BLOCKS, arguments, {"BLOCK": weight.block}, lambda sizes: (rows, triton.cdiv(m, sizes["BM"])), work)
    if weight.block == 32 and m > 32:
        return launch
    return launch.with_default(BM=power_of_two(m, 16, 64), BN=max(16, weight.block))


def block_sparse_linear(x: Tensor, weight: BlockSparseWeight, bias: Tensor | None) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    out = empty(x, len(x), weight.out_features)
    if len(x):
        plan(rows_of(x), weight, None if bias is None else bias.detach().contiguous(), out).run()
    return out
