"""int8_conv2d: the tiles of int8_linear read their inputs where the image holds them.

For each block of output pixels, the lines of the image that it sees are copied with their border, codes raised, channels of a group
filled up to whole steps. A row of a tile is then a pixel's window: a run of neighbours for each row of the filter (for each place
of it, with groups). There is no copy of the windows (no im2col).
"""

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.kernels.layout import PANEL
from posttrain_lab.kernels.operators import conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight

from .excess import add_excess, raised_by, turn
from .linear import bias_or_zeros, finish
from .panels import BLOCK, CODES, COLUMNS, FEW, PANELS, block_sums, copied, scaled, second_vector
from .simd_bytes import RAISED, STEP
from .threads import compiled, cut, flat, inner, run

NO_SUMS, NO_FLOATS = np.empty(0, np.int32), np.empty(0, np.float32)


@inner
def hold_line(image, at, size, padding, groups, deep, fill, held, to):
    """held[to :] = a line with its border: the pixels from image[at] on, or fill where `at` is -1; `deep` codes for a group's channels."""
    width, depth = size
    border, inside = padding * groups * deep, width * groups * deep
    here = held[to : to + 2 * border + inside]
    if at < 0 or border or groups * deep > depth:
        for c in range(len(here)):
            here[c] = fill
    if at < 0:
        return
    if groups * deep == depth:
        line, there = here[border : border + inside], image[at : at + inside]
        for c in range(inside):
            line[c] = there[c] + RAISED
        return
    channels = depth // groups
    for j in range(width * groups):
        for c in range(channels):
            here[border + j * deep + c] = image[at + j * channels + c] + RAISED


@inner
def hold(image, size, first, end, padding, groups, deep, fill, held):
    """held = the lines from `first` to `end` of all images (n, h, w, c) int8, flat, as if they lay below one another with their borders."""
    height, width, depth = size
    tall, across = height + 2 * padding, (width + 2 * padding) * groups * deep
    for line in range(first, end):
        number, row = line // tall, line % tall - padding
        at = (number * height + row) * width * depth if 0 <= row < height else -1
        hold_line(image, at, (width, depth), padding, groups, deep, fill, held, (line - first) * across)


@inner
def window_starts(pixel, rows, shape, tall, across, deep, starts):
    """starts[r] = where the window of output pixel `pixel + r` begins in the lines that are held; gives the first and end line of these.

    shape: output height, output width, kernel height, stride. A line has `across` numbers, an image `tall` lines.
    """
    oh, ow, kh, stride = shape
    number, place = divmod(pixel, oh * ow)
    row, column = divmod(place, ow)
    first = end = number * tall + row * stride
    for r in range(rows):
        end = number * tall + row * stride
        starts[r] = (end - first) * across + column * stride * deep
        column += 1
        if column == ow:
            row, column = row + 1, 0
        if row == oh:
            number, row = number + 1, 0
    for r in range(rows, FEW):
        starts[r] = starts[0]  # there is no such pixel: the first one again
    return first, end + kh


@inner
def most_lines(shape, tall):
    """No block of pixels sees more lines than this; shape as in `window_starts`."""
    oh, ow, kh, stride = shape
    steps, images = (BLOCK - 2) // ow + 1, (BLOCK - 2) // (oh * ow) + 1
    return steps * stride + images * max(0, tall - oh * stride) + kh


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
def write(sums, rows, raised, row_scale, w_scale, bias, relu, outs, pixel, n, column, width):
    """A tile into whichever of outs is not empty: sums as they are (int32), or scaled."""
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
    image_scale, w_scale = scales
    oh, ow, kh, kw, stride, padding, groups, n = shape
    deep, width, raised = -(-(size[2] // groups) // STEP) * STEP, n // groups, raised_by(excess, n)
    panels, k_size, across = -(-width // PANEL), kh * kw * deep, (size[1] + 2 * padding) * groups * deep
    windows, tall = (oh, ow, kh, stride), size[0] + 2 * padding
    held, starts = np.empty(most_lines(windows, tall) * across, CODES), np.empty(BLOCK, np.int64)
    turned, lines = np.empty(k_size // 4 * BLOCK, np.int32), np.empty(BLOCK * COLUMNS, np.int32)
    sums, row_scale = np.empty((BLOCK + 4) * COLUMNS, np.int32), np.empty(BLOCK, np.float32)
    for pixel in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - pixel)
        first, end = window_starts(pixel, rows, windows, tall, across, groups * deep, starts)
        hold(image, size, first, end, padding, groups, deep, fill, held)
        for r in range(rows if len(image_scale) else 0):
            row_scale[r] = image_scale[(pixel + r) // (oh * ow)]
        for group in range(groups):
            offsets, length = runs((kh, kw), groups, group, across, deep)
            turn(held, starts, rows, offsets, length, excess, n, turned)
            for tile in range(-(-width // COLUMNS)):
                panel = tile * PANELS
                second = second_vector(held, panel, panels, k_size * PANEL)
                block_sums(held, starts, rows, offsets, length, w, (group * panels + panel) * k_size * PANEL, second, sums)
                column, many = group * width + tile * COLUMNS, min(COLUMNS, width - tile * COLUMNS)
                add_excess(turned, rows, excess, n, column, many, sums, lines)
                write(sums, rows, raised, row_scale, w_scale, bias, relu, outs, pixel, n, column, many)


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
    (images, h, w, depth), (kh, kw), n, views = x.shape, weight.kernel, weight.out_features, weight.views
    oh, ow = conv_size(h, kh, stride, padding), conv_size(w, kw, stride, padding)
    out = torch.empty(images, oh, ow, n, dtype=torch.int32 if scale is None else torch.float32)
    if images == 0:
        return out
    outs, scales = (flat(out), NO_FLOATS), (NO_FLOATS, NO_FLOATS)
    if scale is not None:
        outs, scales = (NO_SUMS, flat(out)), (flat(scale.detach()), views[1])
    shape = (oh, ow, kh, kw, stride, padding, weight.groups, n)
    pixels = images * oh * ow
    weights = (views[0], views[-1], scales, bias_or_zeros(bias, n))
    operands = (flat(x), (h, w, depth), CODES(fill + RAISED), *weights, activation == "relu", outs, shape)
    run(convolve, operands, cut(pixels, 4, pixels * n * kh * kw * weight.channels))
    return finish(out, activation)
