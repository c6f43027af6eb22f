"""int8_conv2d: gather the patches of some output pixels into scratch rows, then the same tiles as int8_linear.

The scratch holds BLOCK patches and stays in the cache: the patches of the whole image never exist at once (no im2col copy).
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.kernels.layout import PANEL
from posttrain_lab.kernels.operators import conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight

from .excess import add_excess, lines_for, raised_by, turn
from .linear import bias_or_zeros, finish
from .panels import BLOCK, CODES, COLUMNS, PANELS, block_sums, copied, scaled, second_vector
from .simd_bytes import RAISED, STEP
from .threads import compiled, cut, flat, inner, run


@inner
def copy_run(target, to, source, at, count):
    """target[to + c] = source[at + c] + RAISED for `count` neighbours; views, so that the compiler sees plain loops."""
    here, there = target[to : to + count], source[at : at + count]
    for c in range(count):
        here[c] = there[c] + RAISED


@inner
def fill_run(target, to, count, value):
    """target[to + c] = value for `count` neighbours."""
    here = target[to : to + count]
    for c in range(count):
        here[c] = value


@inner
def gather(image, size, pixel, shape, channel, fill, patch, k_size, rows):
    """Row r of patch = the window of output pixel `pixel + r`, in the order (row, column, channel).

    image (n, h, w, c) int8, flat; size: (h, w, c); patch flat, rows of k_size; shape: (output height, output width, kernel
    height, kernel width, channels of a group, stride, padding).
    """
    oh, ow, kh, kw, channels, stride, padding = shape
    height, width, depth = size
    for r in range(rows):
        number, place = divmod(pixel + r, oh * ow)
        top, left = place // ow * stride - padding, place % ow * stride - padding
        k, inside = r * k_size, left >= 0 and left + kw <= width and channels == depth
        for i in range(top, top + kh):
            source = ((number * height + i) * width + left) * depth + channel
            if i < 0 or i >= height:
                fill_run(patch, k, kw * channels, fill)
            elif inside:  # the columns of a kernel row lie side by side
                copy_run(patch, k, image, source, kw * channels)
            else:
                for j in range(kw):
                    at, to = source + j * depth, k + j * channels
                    if 0 <= left + j < width:
                        copy_run(patch, to, image, at, channels)
                    else:
                        fill_run(patch, to, channels, fill)
            k += kw * channels


@compiled
def convolve(image, size, fill, w, excess, scales, bias, relu, outs, shape, part):
    """Every pixel of `part` (first, end): sums, or scaled sums.

    scales: (of each image, empty for plain sums; of each output). outs: (int32, float32) flat, one of them empty.
    shape: what `gather` takes, then groups and outputs.
    """
    image_scale, w_scale = scales
    groups, n = shape[7], shape[8]
    raised = raised_by(excess, n)
    channels, width = shape[4], n // groups
    k_size = -(-shape[2] * shape[3] * channels // STEP) * STEP
    panels, stride = -(-width // PANEL), k_size * PANEL
    patch, turned, lines = np.zeros(BLOCK * k_size, CODES), np.empty(k_size // 4 * BLOCK, np.int32), lines_for(excess, n)
    quads = patch.view(np.int32)
    sums, row_scale = np.empty((BLOCK + 4) * COLUMNS, np.int32), np.empty(BLOCK, np.float32)
    for pixel in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - pixel)
        for r in range(rows if len(image_scale) else 0):
            row_scale[r] = image_scale[(pixel + r) // (shape[0] * shape[1])]
        for group in range(groups):
            gather(image, size, pixel, shape[:7], group * channels, fill, patch, k_size, rows)
            turn(quads, rows, k_size // 4, excess, n, turned)
            for tile in range(-(-width // COLUMNS)):
                panel = tile * PANELS
                p = (group * panels + panel) * stride
                block_sums(patch, 0, rows, k_size, w, p, second_vector(patch, panel, panels, stride), sums)
                column = group * width + tile * COLUMNS
                many = min(COLUMNS, width - tile * COLUMNS)
                add_excess(patch, turned, rows, k_size, excess, n, column, many, sums, lines)
                if len(image_scale):
                    scaled(sums, rows, raised, row_scale, w_scale, bias, relu, outs[1], pixel, n, column, many)
                else:
                    copied(sums, rows, raised, outs[0], pixel * n, n, column, many)


def int8_conv2d(
    x: Tensor,
    weight: Int8ConvWeight,
    stride: int,
    padding: int,
    fill: int,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str,
) -> Tensor:
    """x (n, h, w, c) int8 -> sums int32, or with `scale` float32, (n, oh, ow, out); arguments were checked before."""
    (kh, kw), n = weight.kernel, weight.out_features
    oh, ow = (conv_size(x.shape[1 + i], weight.kernel[i], stride, padding) for i in (0, 1))
    out = torch.empty(len(x), oh, ow, n, dtype=torch.int32 if scale is None else torch.float32)
    if out.numel() == 0:
        return out
    none_int, none_float = np.empty(0, np.int32), np.empty(0, np.float32)
    outs = (flat(out), none_float) if scale is None else (none_int, flat(out))
    scales = (none_float, none_float) if scale is None or weight.scale is None else (flat(scale), flat(weight.scale))
    shape = (oh, ow, kh, kw, weight.channels, stride, padding, weight.groups, n)
    pixels, size = len(x) * oh * ow, tuple(x.shape[1:])
    weights = (flat(weight.codes), flat(weight.excess))
    operands = (flat(x), size, CODES(fill + RAISED), *weights, scales, bias_or_zeros(bias, n), activation == "relu", outs, shape)
    run(convolve, operands, cut(pixels, 4, pixels * n * kh * kw * weight.channels))
    return finish(out, activation)
