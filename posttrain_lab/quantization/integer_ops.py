"""The integer steps of a network: sums of products, rescaling to int8, pooling. Every tensor in here is an integer tensor.

Images are [n, channels, height, width]; the outputs of convolutions are channels last in memory, as the matrix product
stores them.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Int, Int8, Int32
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab import kernels

from .layer_math import ConvShape


def linear_sums(codes: Int8[Tensor, "n features"], weight: Int8[Tensor, "out features"]) -> Int32[Tensor, "n out"]:
    """sum_k codes[n, k] * weight[o, k], exact in int32.

    >>> linear_sums(torch.full((1, 1000), -128, dtype=torch.int8), torch.full((1, 1000), 127, dtype=torch.int8))
    tensor([[-16256000]], dtype=torch.int32)
    """
    return kernels.int8_matmul(codes, weight.T)


def patches(codes: Int8[Tensor, "n c h w"], kernel: tuple[int, int], shape: ConvShape, fill: int) -> Int8[Tensor, "n oh ow k"]:
    """Every window of the image as a row (im2col): n x output height x output width x (kernel height, kernel width,
    channels).

    `fill` is the code of the padding: the zero point, which stands for 0.0. The windows are a view, and are copied once.
    """
    padded = F.pad(codes, shape.pads, value=fill).permute(0, 2, 3, 1).contiguous()
    n, height, width, channels = padded.shape
    (kh, kw), (sh, sw), (dh, dw) = kernel, shape.stride, shape.dilation
    oh, ow = (height - dh * (kh - 1) - 1) // sh + 1, (width - dw * (kw - 1) - 1) // sw + 1
    if oh < 1 or ow < 1:
        raise ValueError(
            f"A {kh} x {kw} convolution wants padded images of at least {dh * (kh - 1) + 1} x {dw * (kw - 1) + 1}, "
            f"got {height} x {width}; give larger images."
        )
    a, b, c, d = padded.stride()
    windows = padded.as_strided((n, oh, ow, kh, kw, channels), (a, b * sh, c * sw, b * dh, c * dw, d))
    return windows.reshape(n, oh, ow, kh * kw * channels)


def conv_sums(
    codes: Int8[Tensor, "n c h w"], weight: Int8[Tensor, "out cg kh kw"], shape: ConvShape, fill: int
) -> Int32[Tensor, "n oh ow out"]:
    """The sums of a convolution, channels last: one matrix product of all windows with all filters, for each group.

    >>> image, ones = torch.ones(1, 2, 3, 3, dtype=torch.int8), torch.ones(1, 2, 3, 3, dtype=torch.int8)
    >>> conv_sums(image, ones, ConvShape(), fill=0)
    tensor([[[[18]]]], dtype=torch.int32)
    """
    sums = []
    for image, filters in zip(codes.chunk(shape.groups, dim=1), weight.chunk(shape.groups), strict=True):
        rows = patches(image, (weight.shape[2], weight.shape[3]), shape, fill)
        flat = filters.permute(0, 2, 3, 1).flatten(1)
        sums.append(linear_sums(rows.flatten(0, 2), flat).reshape(*rows.shape[:3], len(flat)))
    return sums[0] if len(sums) == 1 else torch.cat(sums, dim=3)


def rescale(
    sums: Int32[Tensor, "... out"], multiplier: Int[Tensor, " out"], shift: Int[Tensor, " out"]
) -> Int[Tensor, "... out"]:
    """sums * multiplier / 2^shift, rounded to nearest with ties up, per channel: `requantize` before zero point and
    clamp.

    multiplier in [2^30, 2^31) and shift in 1..62 come from `fixed_point`; the products fit int64.

    >>> rescale(torch.tensor([[5]], dtype=torch.int32), torch.tensor([2**30]), torch.tensor([31]))  # 5 * 0.5 = 2.5
    tensor([[3]])
    """
    wide = sums.to(torch.int64)
    wide *= multiplier
    wide += torch.ones_like(shift) << (shift - 1)
    wide >>= shift
    return wide


def windows(values: Tensor, size: tuple[int, int], step: tuple[int, int], spread: tuple[int, int]) -> Iterator[Tensor]:
    """For each position in a pooling window, the values of all windows at it: views [n, c, oh, ow]."""
    oh = (values.shape[2] - spread[0] * (size[0] - 1) - 1) // step[0] + 1
    ow = (values.shape[3] - spread[1] * (size[1] - 1) - 1) // step[1] + 1
    for i in range(size[0]):
        for j in range(size[1]):
            top, left = i * spread[0], j * spread[1]
            rows, columns = values[:, :, top :: step[0]], slice(left, None, step[1])
            yield rows[:, :, :oh, columns][..., :ow]
