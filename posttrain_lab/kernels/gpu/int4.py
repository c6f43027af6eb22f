"""int4_linear: two weights in a byte, taken apart in registers just before they are multiplied.

Byte j of a run of 8 inputs holds weight j (low) and weight j + 4 (high). x is laid out to match, as two halves [M, 2, K / 2]: the
inputs of all low nibbles, then those of all high ones. So one tile of bytes meets two tiles of x, both read straight ahead. Each
step of the loop stays inside one group; its sum is scaled and added in float32.
"""

import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from posttrain_lab.kernels.packed import Int4Weight

from .epilogue import activated, product, tile_of, with_bias
from .launch import Launch, TiledKernel, empty, power_of_two, rows_of, tile
from .quantize import quantized


@triton.jit
def group_sum(low_x, high_x, low, high, scale, total, HALF: constexpr):
    """total + the sum of one step times scale [BN]; x int8 is summed exactly, x float32 meets weights already scaled."""
    if low_x.dtype == tl.int8:
        sums = product(high_x, high, product(low_x, low, tl.zeros(total.shape, tl.int32), HALF), HALF)
        total += sums.to(tl.float32) * scale[None, :]
    else:
        total = tl.dot(low_x, low.to(tl.float32) * scale[None, :], total, input_precision="ieee")
        total = tl.dot(high_x, high.to(tl.float32) * scale[None, :], total, input_precision="ieee")
    return total


@triton.jit
def multiply_nibbles(
    x, w, out, scales, sizes, strides, HALF: constexpr, ACTIVATION: constexpr, BM: constexpr, BN: constexpr, BK: constexpr
):
    """out [M, N] float32; x [M, 2, K / 2] int8 or float32, w [N, K / 2] bytes.

    scales: row_scale [M] or None, w_scale [groups, >= N], bias [N] or None. sizes: M, N, K / 2, bytes of a group.
    strides: of a row of x, w, w_scale, out.
    """
    row_scale, w_scale, bias = scales
    m_size, n_size, half_size, half_group = sizes
    m, n = tile_of(tl.program_id(0), m_size, n_size, BM, BN)
    rows, w_rows = x + m.to(tl.int64)[:, None] * strides[0], w + n.to(tl.int64)[None, :] * strides[1]
    total = tl.zeros((BM, BN), tl.float32)
    steps = tl.cdiv(half_group, BK)
    for step in range(0, half_size // half_group * steps):
        group = step // steps
        byte = group * half_group + step % steps * BK + tl.arange(0, BK)
        real = byte < (group + 1) * half_group
        x_inside = (m[:, None] < m_size) & real[None, :]
        low_x = tl.load(rows + byte[None, :], mask=x_inside, other=0)
        high_x = tl.load(rows + half_size + byte[None, :], mask=x_inside, other=0)
        pair = tl.load(w_rows + byte[:, None], mask=(n[None, :] < n_size) & real[:, None], other=0x88)
        low, high = (pair & 15).to(tl.int8) - 8, (pair >> 4).to(tl.int8) - 8
        scale = tl.load(w_scale + group * strides[2] + n, mask=n < n_size, other=0.0)
        total = group_sum(low_x, high_x, low, high, scale, total, HALF)
    if row_scale is not None:
        total *= tl.load(row_scale + m, mask=m < m_size, other=0.0)[:, None]
    place = out + m.to(tl.int64)[:, None] * strides[3] + n[None, :]
    y = activated(with_bias(total, bias, n, n_size), ACTIVATION)
    tl.store(place, y, mask=(m[:, None] < m_size) & (n[None, :] < n_size))


NIBBLES = TiledKernel(
    multiply_nibbles,
    tile(4, 3, BM=32, BN=64, BK=32),
    (tile(4, 3, BM=64, BN=128, BK=32), tile(4, 4, BM=16, BN=64, BK=64), tile(8, 3, BM=128, BN=128, BK=32)),
    half=tile(4, 1, BM=32, BN=32, BK=32),
)
FLOATS = TiledKernel(multiply_nibbles, tile(4, 2, BM=32, BN=32, BK=16), (tile(8, 2, BM=64, BN=64, BK=16),))


def plan(x: Tensor, weight: Int4Weight, out: Tensor, row_scale: Tensor | None, bias: Tensor | None, activation: str) -> Launch:
    """x [M, K], codes or floats in halves as `halves` gives them -> out [M, N]."""
    (m, k), n, codes, scale = x.shape, weight.out_features, rows_of(weight.codes), rows_of(weight.scale)
    arguments = {"x": x, "w": codes, "out": out, "scales": (row_scale, scale, bias)}
    arguments |= {"sizes": (m, n, k // 2, weight.group // 2)}
    arguments |= {"strides": (x.stride(0), codes.stride(0), scale.stride(0), out.stride(0))}
    constants = {"HALF": False, "ACTIVATION": activation}

    def grid(sizes: dict[str, int]) -> tuple[int]:
        return (triton.cdiv(m, sizes["BM"]) * triton.cdiv(n, sizes["BN"]),)

    launch = Launch(FLOATS if row_scale is None else NIBBLES, arguments, constants, grid, (m, n, k))
    if m > 16:
        return launch
    return launch.with_default(BM=16, BK=power_of_two(weight.group // 2, launch.kernel.default.kwargs["BK"], 64))


def halves(x: Tensor) -> Tensor:
    """x [M, K]: of each 8 inputs the first 4, then of each 8 the others."""
    return x.reshape(len(x), -1, 2, 4).transpose(1, 2).reshape(x.shape)


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x (M, K) float32 -> (M, N) float32; arguments were checked by `posttrain_lab.kernels`."""
    out = empty(x, len(x), weight.out_features)
    if len(x) == 0:
        return out
    codes, scale = (halves(x), None) if activations == "float32" else quantized("int4_linear", x, split=True)
    plan(codes, weight, out, scale, None if bias is None else bias.detach().contiguous(), activation).run()
    return out
