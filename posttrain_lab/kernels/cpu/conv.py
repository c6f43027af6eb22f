"""int8_conv2d: the tiles of int8_linear read their inputs where the image holds them.

A few images at a time are copied with their border, codes raised, channels of a group filled up to whole steps. A row of a tile is then an
output pixel's window: a run of neighbours for each row of the filter (for each place of it, with groups). There is no copy of the
windows (no im2col), so scratch is about as large as the images that share a block of pixels.
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.kernels.layout import PANEL
from posttrain_lab.kernels.operators import conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight

from .excess import add_excess, lines_of_tile, raised_by, turn
from .linear import bias_or_zeros, finish
from .panels import BLOCK, CODES, COLUMNS, FEW, PANELS, block_sums, copied, scaled, second_vector
from .simd_bytes import RAISED, STEP
from .threads import compiled, cut, flat, inner, run

NO_SUMS, NO_FLOATS = np.empty(0, np.int32), np.empty(0, np.float32)


@inner
def hold(image, size, number, padding, groups, deep, held, at):
    """held[at :] = image `number` of images (n, h, w, c) int8, flat, inside of its border; `deep` codes for the channels of a group."""
    height, width, depth = size
    across = (width + 2 * padding) * groups * deep
    for i in range(height):
        source, to = (number * height + i) * width * depth, at + (padding + i) * across + padding * groups * deep
        if groups * deep == depth:
            here, there = held[to : to + width * depth], image[source : source + width * depth]
            for c in range(width * depth):
                here[c] = there[c] + RAISED
        else:
            channels = depth // groups
            for j in range(width * groups):
                for c in range(channels):
                    held[to + j * deep + c] = image[source + j * channels + c] + RAISED


@inner
def window_starts(pixel, rows, shape, slots, across, deep, area, starts):
    """starts[r] = where the window of output pixel `pixel + r` begins in the images that are held; `across` numbers in a line of one.

    shape: output height, output width, stride; image i is in slot i modulo slots, `area` numbers each.
    """
    oh, ow, stride = shape
    number, place = divmod(pixel, oh * ow)
    row, column = divmod(place, ow)
    for r in range(rows):
        starts[r] = number % slots * area + row * stride * across + column * stride * deep
        column += 1
        if column == ow:
            row, column = row + 1, 0
        if row == oh:
            number, row = number + 1, 0
    for r in range(rows, FEW):
        starts[r] = starts[0]  # there is no such pixel: the first one again


@inner
def runs(kernel, groups, group, across, deep):
    """Where the runs of a window lie behind its start, for a group of channels; and the numbers in a run."""
    kh, kw = kernel
    if groups == 1:
        offsets = np.empty(kh, np.int64)
        for i in range(kh):
            offsets[i] = i * across
        return offsets, kw * deep
    offsets = np.empty(kh * kw, np.int64)
    for i in range(kh * kw):
        offsets[i] = i // kw * across + (i % kw * groups + group) * deep
    return offsets, deep


@inner
def hold_until(last, following, image, size, padding, groups, deep, held, slots, area):
    """Images from number `following` to `last` are held too, each in the place of one that no block needs any more; the next number."""
    while following <= last:
        hold(image, size, following, padding, groups, deep, held, following % slots * area)
        following += 1
    return following


@inner
def put(sums, rows, raised, row_scale, w_scale, bias, relu, outs, pixel, n, column, width):
    """The sums of a tile go where they belong: scaled, or into outs[0] as they are."""
    if len(outs[1]):
        scaled(sums, rows, raised, row_scale, w_scale, bias, relu, outs[1], pixel, n, column, width)
    else:
        copied(sums, rows, raised, outs[0], pixel * n, n, column, width)


@compiled
def convolve(image, size, fill, w, excess, scales, bias, relu, outs, shape, part):
    """Every pixel of `part` (first, end): sums, or scaled sums.

    scales: (of each image, empty for plain sums; of each output). outs: (int32, float32) flat, one of them empty.
    shape: output height and width, kernel height and width, stride, padding, groups, outputs.
    """
    (image_scale, w_scale), (oh, ow, kh, kw, stride, padding, groups, n) = scales, shape
    deep, width, raised = -(-(size[2] // groups) // STEP) * STEP, n // groups, raised_by(excess, n)
    panels, k_size, across = -(-width // PANEL), kh * kw * deep, (size[1] + 2 * padding) * groups * deep
    slots, area, following = (BLOCK - 2) // (oh * ow) + 2, (size[0] + 2 * padding) * across, part[0] // (oh * ow)
    held, starts = np.full(min(slots, -(-part[1] // (oh * ow))) * area, fill, CODES), np.empty(BLOCK, np.int64)
    turned, lines = np.empty(k_size // 4 * BLOCK, np.int32), lines_of_tile()
    sums, row_scale = np.empty((BLOCK + 4) * COLUMNS, np.int32), np.empty(BLOCK, np.float32)
    for pixel in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - pixel)
        following = hold_until((pixel + rows - 1) // (oh * ow), following, image, size, padding, groups, deep, held, slots, area)
        window_starts(pixel, rows, (oh, ow, stride), slots, across, groups * deep, area, starts)
        for r in range(rows if len(image_scale) else 0):
            row_scale[r] = image_scale[(pixel + r) // (oh * ow)]
        for group in range(groups):
            offsets, length = runs((kh, kw), groups, group, across, deep)
            turn(held, starts, rows, offsets, length, excess, n, turned)
            for tile in range(-(-width // COLUMNS)):
                panel, column, many = tile * PANELS, group * width + tile * COLUMNS, min(COLUMNS, width - tile * COLUMNS)
                second = second_vector(held, panel, panels, k_size * PANEL)
                block_sums(held, starts, rows, offsets, length, w, (group * panels + panel) * k_size * PANEL, second, sums)
                add_excess(turned, rows, excess, n, column, many, sums, lines)
                put(sums, rows, raised, row_scale, w_scale, bias, relu, outs, pixel, n, column, many)


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
    codes, excess = weight.views[0], weight.views[-1]
    outs, scales = (flat(out), NO_FLOATS), (NO_FLOATS, NO_FLOATS)
    if scale is not None:
        outs, scales = (NO_SUMS, flat(out)), (flat(scale.detach()), weight.views[1])
    shape = (oh, ow, kh, kw, stride, padding, weight.groups, n)
    pixels, size = len(x) * oh * ow, tuple(x.shape[1:])
    weights = (codes, excess, scales, bias_or_zeros(bias, n))
    operands = (flat(x), size, CODES(fill + RAISED), *weights, activation == "relu", outs, shape)
    run(convolve, operands, cut(pixels, 4, pixels * n * kh * kw * weight.channels))
    return finish(out, activation)
