"""int8_conv2d: a matrix product whose left rows, the windows of the image, are never written down (implicit GEMM).

Row m is an output pixel; k runs over (kernel row, kernel column, channel), the order of an image with channels last. So the
address of x[m, k] is a part that depends on m plus a part that depends on k. Beyond the border x is `pad_value`.
Source of the idea: Chetlur et al. 2014, "cuDNN: Efficient Primitives for Deep Learning".
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from posttrain_lab.kernels.geometry import conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight

from .epilogue import product, store_sums, tile_of
from .launch import Launch, TiledKernel, empty, rows_of, tile


@triton.jit
def window(pixel, out_shape, steps, strides):
    """Where the windows of output pixels begin: (image, row, column, offset into x), each [BM]."""
    image, place = pixel // (out_shape[0] * out_shape[1]), pixel % (out_shape[0] * out_shape[1])
    top, left = place // out_shape[1] * steps[0] - steps[1], place % out_shape[1] * steps[0] - steps[1]
    offset = image.to(tl.int64) * strides[0] + top.to(tl.int64) * strides[1] + left.to(tl.int64) * strides[2]
    return image, top, left, offset


@triton.jit
def patch(x, offset, top, left, k, real, image_shape, kernel_shape, strides, pad_value):
    """The tile [BM, BK] of windows that begin at x + offset: rows top, columns left; `pad_value` beyond the border.

    k [BK] counts (row, column, channel) of the window; what is not `real` [BM, BK] is not read.
    """
    tap, channel = k // kernel_shape[1], k % kernel_shape[1]
    down, right = tap // kernel_shape[0], tap % kernel_shape[0]
    y, z = top[:, None] + down[None, :], left[:, None] + right[None, :]
    inside = real & (y >= 0) & (y < image_shape[0]) & (z >= 0) & (z < image_shape[1])
    step = down.to(tl.int64) * strides[1] + right.to(tl.int64) * strides[2] + channel
    value = tl.load(x + offset[:, None] + step[None, :], mask=inside, other=0)
    return tl.where(inside, value.to(tl.int32), pad_value).to(tl.int8)


@triton.jit
def convolve(
    x, w, out, scales, sizes, shapes, strides, HALF: constexpr, ACTIVATION: constexpr, BM: constexpr, BN: constexpr, BK: constexpr
):
    """out [pixels, groups * width]: int32 sums; or scaled, plus bias, activated, in float32. Axis 1 of the grid: the group.

    scales: of images, of outputs, bias, as in int8.py. sizes: output pixels, outputs and window size of a group. strides: of an
    image, row and column of x, of a row of w, of out. shapes: image (h, w), output (h, w), (kernel width, channels of a group),
    (stride, padding, pad_value).
    """
    m_size, n_size, k_size = sizes
    m, n = tile_of(tl.program_id(0), m_size, n_size, BM, BN)
    image, top, left, offset = window(m, shapes[1], shapes[3], strides)
    offset += tl.program_id(1) * shapes[2][1]
    column = tl.program_id(1) * n_size + n
    total = tl.zeros((BM, BN), tl.int32)
    for start in range(0, k_size, BK):
        k = start + tl.arange(0, BK)
        real = (m[:, None] < m_size) & (k[None, :] < k_size)
        a = patch(x, offset, top, left, k, real, shapes[0], shapes[2], strides, shapes[3][2])
        at = w + column.to(tl.int64)[None, :] * strides[3] + k[:, None]
        b = tl.load(at, mask=(n[None, :] < n_size) & (k[:, None] < k_size), other=0)
        total = product(a, b, total, HALF)
    lines, end = out + m.to(tl.int64) * strides[4], (tl.program_id(1) + 1) * n_size
    store_sums(lines, total, m < m_size, scales, image, column, end, ACTIVATION)


CONVOLVE = TiledKernel(
    convolve,
    tile(4, 2, BM=64, BN=32, BK=64),
    (tile(4, 2, BM=128, BN=64, BK=64), tile(4, 2, BM=128, BN=16, BK=32)),
    half=tile(4, 1, BM=32, BN=32, BK=32),
    fused=False,
)


def plan(x: Tensor, weight: Int8ConvWeight, out: Tensor, steps: tuple[int, int, int], scales: tuple, activation: str) -> Launch:
    """x (n, h, w, c) int8, out (n, oh, ow, outputs). steps: (stride, padding, pad_value); scales: of images, of outputs, bias."""
    kernel_size, width = weight.kernel[0] * weight.kernel[1] * weight.channels, weight.out_features // weight.groups
    pixels, w = len(out) * out.shape[1] * out.shape[2], weight.codes.reshape(weight.out_features, -1)
    shapes = (tuple(x.shape[1:3]), tuple(out.shape[1:3]), (weight.kernel[1], weight.channels), steps)
    arguments = {"x": x, "w": w, "out": out, "scales": scales, "sizes": (pixels, width, kernel_size), "shapes": shapes}
    arguments |= {"strides": (*x.stride()[:3], w.stride(0), out.stride(2))}
    constants = {"HALF": False, "ACTIVATION": activation}

    def grid(sizes: dict[str, int]) -> tuple[int, int]:
        return triton.cdiv(pixels, sizes["BM"]) * triton.cdiv(width, sizes["BN"]), weight.groups

    return Launch(CONVOLVE, arguments, constants, grid, (pixels, weight.out_features, kernel_size))


def int8_conv2d(
    x: Tensor,
    weight: Int8ConvWeight,
    stride: int,
    padding: int,
    pad_value: int,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str,
) -> Tensor:
    """x (n, h, w, c) int8 -> sums int32, or with `scale` float32, (n, oh, ow, out); arguments were checked before."""
    oh, ow = (conv_size(x.shape[1 + i], weight.kernel[i], stride, padding) for i in (0, 1))
    out = empty(x, len(x), oh, ow, weight.out_features, dtype=torch.int32 if scale is None else torch.float32)
    scales: tuple = (None, None, None)
    if scale is not None:
        scales = (scale.contiguous(), weight.scale, None if bias is None else bias.detach().contiguous())
    if len(x):
        plan(rows_of(x), weight, out, (stride, padding, pad_value), scales, activation).run()
    return out
