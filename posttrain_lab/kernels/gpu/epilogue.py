"""What the kernels have in common: which tile a program takes, exact int8 products, scales, bias and activation."""

import triton
import triton.language as tl
from triton.language import constexpr


@triton.jit
def tile_of(program, m_size, n_size, BM: constexpr, BN: constexpr):
    """(rows [BM], outputs [BN]) of a program.

    Eight tiles of rows share each tile of outputs before the next comes: what they share is still in the L2 cache.
    Source: Tillet et al., Triton's matmul tutorial.
    """
    m_tiles, n_tiles = tl.cdiv(m_size, BM), tl.cdiv(n_size, BN)
    first = program // (8 * n_tiles) * 8
    high = tl.minimum(m_tiles - first, 8)
    place = program % (8 * n_tiles)
    return (first + place % high) * BM + tl.arange(0, BM), place // high * BN + tl.arange(0, BN)


@triton.jit
def product(a, b, total, HALF: constexpr):
    """total + a @ b for int8 tiles, exact in int32.

    HALF, for chips whose int8 units Triton does not reach: fp16 holds every int8, and float32 every sum of up to 1,024 products
    of -128 ... 127, since 2^14 * 2^10 = 2^24; tiles are narrower than that.
    """
    if HALF:
        total += tl.dot(a.to(tl.float16), b.to(tl.float16), out_dtype=tl.float32).to(tl.int32)
    else:
        total = tl.dot(a, b, total, out_dtype=tl.int32)
    return total


@triton.jit
def activated(y, ACTIVATION: constexpr):
    """none, relu, or gelu with the exact erf; NaN stays NaN."""
    if ACTIVATION == "relu":
        y = tl.where(y < 0, 0.0, y)
    if ACTIVATION == "gelu":
        y = 0.5 * y * (1 + tl.erf(y * 0.7071067811865476))
    return y


@triton.jit
def with_bias(y, bias, n, n_size):
    """y [BM, BN] + bias [n]; bias may be None."""
    if bias is not None:
        y += tl.load(bias + n, mask=n < n_size, other=0.0)[None, :]
    return y


@triton.jit
def scaled(sums, row_scale, w_scale, bias, n, n_size, ACTIVATION: constexpr):
    """activation(sums * (row_scale * w_scale) + bias): sums int32 [BM, BN], row_scale [BM] loaded, w_scale and bias pointers."""
    columns = tl.load(w_scale + n, mask=n < n_size, other=0.0)
    y = sums.to(tl.float32) * (row_scale[:, None] * columns[None, :])
    return activated(with_bias(y, bias, n, n_size), ACTIVATION)


@triton.jit
def store_sums(lines, sums, real, scales, place, n, n_size, ACTIVATION: constexpr):
    """Sums int32 [BM, BN] to lines [BM] + n [BN], of `real` rows and n below n_size: as they are, or scaled in float32.

    scales: row_scale, where row r reads place[r], w_scale, bias; row_scale None: as they are.
    """
    to, inside = lines[:, None] + n[None, :], real[:, None] & (n[None, :] < n_size)
    if scales[0] is None:
        tl.store(to, sums, mask=inside)
    else:
        rows = tl.load(scales[0] + place, mask=real, other=0.0)
        tl.store(to, scaled(sums, rows, scales[1], scales[2], n, n_size, ACTIVATION), mask=inside)
