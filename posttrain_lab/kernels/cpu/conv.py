"""int8_conv2d: the tiles of int8_linear read their inputs where the image holds them.

For each block of output pixels, the lines of the image that it sees are copied with their border, codes raised, channels of a group
filled up to whole steps. A row of a tile is then a pixel's window: a run of neighbours for each row of the filter (for each place
of it, with groups). There is no copy of the windows (no im2col).
"""

import numpy as np
from numba import types
from numba.extending import overload
from torch import Tensor

from posttrain_lab.kernels.arguments import LARGEST_K
from posttrain_lab.kernels.kept import array_of
from posttrain_lab.kernels.layout import PANEL
from posttrain_lab.kernels.operators import conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight

from .excess import add_excess, raised_by, turn
from .linear import bias_or_zeros, finish, results
from .panels import BLOCK, CODES, COLUMNS, FEW, PANELS, block_sums, copied, scaled, second_vector
from .simd_bytes import RAISED, STEP
from .threads import compiled, cut, flat, inner, run, whole

NO_FLOATS = np.empty(0, np.float32)


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


def write(sums, rows, raised, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
    """A tile into out, flat: sums as they are where it is int32, scaled where it is float32. Known by type: only one is compiled."""
    raise NotImplementedError("for kernels only")


@overload(write)
def _write(sums, rows, raised, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
    def as_they_are(sums, rows, raised, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
        copied(sums, rows, raised, out, pixel * n, n, column, width)

    def with_scales(sums, rows, raised, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
        scaled(sums, rows, raised, row_scale, w_scale, bias, relu, out, pixel, n, column, width)

    return as_they_are if out.dtype == types.int32 else with_scales


@compiled
def convolve(image, size, fill, w, excess, scales, bias, relu, out, shape, part):
    """Every pixel of `part` (first, end): sums into out int32, or scaled sums into out float32, flat.

    scales: (of each image, of each output), empty for plain sums.
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
                write(sums, rows, raised, row_scale, w_scale, bias, relu, out, pixel, n, column, many)


def convolved(
    x: np.ndarray,
    weight: Int8ConvWeight,
    geometry: tuple[int, int, int],
    scale: np.ndarray | None,
    bias: np.ndarray,
    relu: bool,
) -> Tensor:
    """x (n, h, w, c) int8, contiguous -> sums int32, or with `scale` float32, (n, oh, ow, out). geometry: stride, padding, fill."""
    (images, h, w, depth), (kh, kw), n, views = x.shape, weight.kernel, weight.out_features, weight.views
    stride, padding, fill = geometry
    oh, ow = conv_size(h, kh, stride, padding), conv_size(w, kw, stride, padding)
    out, numbers = results((images, oh, ow, n), np.int32 if scale is None else np.float32)
    if images == 0:
        return out
    scales = (NO_FLOATS, NO_FLOATS) if scale is None else (scale, views[1])
    shape = (oh, ow, kh, kw, stride, padding, weight.groups, n)
    pixels = images * oh * ow
    inputs = x.reshape(-1), (h, w, depth), CODES(fill + RAISED)
    operands = (*inputs, views[0], views[-1], scales, bias, relu, numbers, shape)
    run(convolve, operands, cut(pixels, 4, pixels * n * kh * kw * weight.channels))
    return out


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
    """`convolved` for tensors; arguments were checked by `posttrain_lab.kernels`."""
    scales, offset = None if scale is None else flat(scale.detach()), bias_or_zeros(bias, weight.out_features)
    return finish(convolved(whole(x), weight, (stride, padding, fill), scales, offset, activation == "relu"), activation)


def int8_conv2d_at_once(
    x: Tensor,
    weight: Int8ConvWeight,
    stride: int,
    padding: int,
    fill: int,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str,
) -> Tensor | None:
    """`int8_conv2d` with no gelu and nothing unusual, not checked before; None for all else."""
    if type(weight) is not Int8ConvWeight or not weight.plain or (scale is not None and weight.scale is None):
        return None
    if (activation != "none" and activation != "relu") or not (type(stride) is type(padding) is type(fill) is int):
        return None
    images, (kh, kw), n = array_of(x, np.int8, 4), weight.kernel, weight.out_features
    scales = NO_FLOATS if scale is None else array_of(scale, np.float32, 1)
    offset = np.zeros(n, np.float32) if bias is None else array_of(bias, np.float32, 1)
    if images is None or scales is None or offset is None or len(offset) != n or kh * kw * weight.channels > LARGEST_K:
        return None
    (many, h, w, depth), plain_sums = images.shape, bias is None and activation == "none"
    if len(scales) != many if scale is not None else not plain_sums:
        return None
    if depth != weight.channels * weight.groups or stride < 1 or padding < 0 or not -128 <= fill <= 127:
        return None
    if conv_size(h, kh, stride, padding) < 1 or conv_size(w, kw, stride, padding) < 1:
        return None
    return convolved(images, weight, (stride, padding, fill), None if scale is None else scales, offset, activation == "relu")
