"""int8_matmul and int8_linear: one kernel, sums of int8 products in int32 on the tensor cores; the second scales them before
they are stored.

Both operands are read along K, as int8 tensor cores want them: a right matrix that is not the transpose of rows is copied first.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from posttrain_lab.kernels.packed import Int8Weight

from .epilogue import product, store_sums, tile_of
from .launch import Launch, TiledKernel, empty, rows_of, tile
from .quantize import quantized


@triton.jit
def multiply(
    x, w, out, scales, sizes, strides, HALF: constexpr, ACTIVATION: constexpr, BM: constexpr, BN: constexpr, BK: constexpr
):
    """out [M, N] = x [M, K] @ w [N, K].T in int32; or scaled, plus bias, activated, in float32.

    scales: row_scale [M], w_scale [N], bias [N], where bias, or all three, may be None. sizes: M, N, K. strides: of a row of x, w, out.
    """
    m_size, n_size, k_size = sizes
    m, n = tile_of(tl.program_id(0), m_size, n_size, BM, BN)
    x_rows, w_rows = x + m.to(tl.int64)[:, None] * strides[0], w + n.to(tl.int64)[None, :] * strides[1]
    total = tl.zeros((BM, BN), tl.int32)
    for start in range(0, k_size, BK):
        k = start + tl.arange(0, BK)
        a = tl.load(x_rows + k[None, :], mask=(m[:, None] < m_size) & (k[None, :] < k_size), other=0)
        b = tl.load(w_rows + k[:, None], mask=(n[None, :] < n_size) & (k[:, None] < k_size), other=0)
        total = product(a, b, total, HALF)
    store_sums(out + m.to(tl.int64) * strides[2], total, m < m_size, scales, m, n, n_size, ACTIVATION)


MULTIPLY = TiledKernel(
    multiply,
    tile(4, 3, BM=64, BN=64, BK=64),
    (tile(8, 3, BM=128, BN=128, BK=128), tile(4, 4, BM=128, BN=64, BK=64), tile(4, 4, BM=16, BN=64, BK=256)),
    half=tile(4, 1, BM=32, BN=32, BK=32),
    fused=False,
)


def plan(x: Tensor, w: Tensor, out: Tensor, scales: tuple = (None, None, None), activation: str = "none") -> Launch:
    """x int8 [M, K], w int8 [N, K] -> out [M, N]; scales: of rows, of outputs, bias; without them int32 sums."""
    (m, k), n = x.shape, len(w)
    strides = (x.stride(0), w.stride(0), out.stride(0))
    arguments = {"x": x, "w": w, "out": out, "scales": scales, "sizes": (m, n, k), "strides": strides}
    constants = {"HALF": False, "ACTIVATION": activation}
    launch = Launch(MULTIPLY, arguments, constants, lambda s: (triton.cdiv(m, s["BM"]) * triton.cdiv(n, s["BN"]),), (m, n, k))
    return launch.with_default(BM=16, BK=128) if m <= 16 else launch


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) int8, b (K, N) int8 -> (M, N) int32; shapes and dtypes were checked by `posttrain_lab.kernels`."""
    (m, k), n = a.shape, b.shape[1]
    out = empty(a, m, n, dtype=torch.int32)
    if 0 in (m, k, n):
        return out.zero_()
    plan(rows_of(a), rows_of(b.t()), out).run()
    return out


def int8_linear(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    out = empty(x, len(x), len(weight.scale))
    if len(x) == 0:
        return out
    codes, scale = quantized("int8_linear", x)
    extra = None if bias is None else bias.detach().contiguous()
    plan(codes, rows_of(weight.codes), out, (scale, weight.scale.contiguous(), extra), activation).run()
    return out
