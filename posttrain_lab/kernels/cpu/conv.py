"""int8_conv2d: the tiles of int8_linear read their inputs where the image holds them.

Some lines of the images at a time are copied with their borders, codes shifted, channels of a group filled up to whole steps. A row of a
tile is then a pixel's window: a run of neighbours for each row of the filter (for each place of it, with groups). There is no copy of the
windows (no im2col).
"""

import functools

import numpy as np
from numba import types
from numba.extending import overload
from torch import Tensor

from posttrain_lab.kernels.geometry import conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight
from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.validation import LARGEST_K
from posttrain_lab.kernels.views_cache import array_of

from .int8_microkernel import BLOCK, CODES, COLUMNS, FEW, PANELS, block_sums, copied, scaled, second_vector
from .jit_cache import compiled, inner
from .linear import bias_or_zeros, finish, results
from .saturation_outliers import add_outliers, compensation_of, transpose_block
from .simd_bytes import SHIFT, STEP
from .threads import cut, flat, run, whole

NO_FLOATS = np.empty(0, np.float32)
SCRATCH = 1 << 18  # bytes of lines that are held at a time: they stay in the second cache


@inner
def hold(x, first, end, size, padding, groups, deep, pad_value, held):
    """held = the lines from `first` to `end` of the images x (n, h, w, c) int8, flat, shifted, as if they lay below one another with borders.

    `deep` codes for a group's channels; what is no image is `pad_value`.
    """
    height, width, depth = size
    tall, across = height + 2 * padding, (width + 2 * padding) * groups * deep
    pieces, channels = (1, width * depth) if groups * deep == depth else (width * groups, depth // groups)
    for i in range((end - first) * across):
        held[i] = pad_value
    for line in range(first, end):
        row, to = line % tall - padding, (line - first) * across + padding * groups * deep
        at = (line // tall * height + row) * width * depth
        for j in range(pieces if 0 <= row < height else 0):
            here, there = held[to + j * deep :], x[at + j * channels :]
            for c in range(channels):
                here[c] = there[c] + SHIFT


@functools.lru_cache(maxsize=1024)
def runs(kernel: tuple[int, int], groups: int, across: int, deep: int) -> tuple[np.ndarray, int]:
    """Where the runs of a window lie behind its start, for the first group; and the numbers in a run. A line has `across` numbers."""
    pieces = 1 if groups == 1 else kernel[1]  # with groups, the channels of one pixel's group do not lie next to the next pixel's
    places = np.arange(kernel[0], dtype=np.int64)[:, None] * across + np.arange(pieces, dtype=np.int64) * groups * deep
    return places.reshape(-1), kernel[1] // pieces * deep


def room_for(size: tuple[int, int], kh: int, stride: int, tall: int, across: int) -> int:
    """How many lines are held at a time, each of `across` numbers, `tall` for an image: at least all that a block of pixels sees.

    size: output height and width; kh: kernel height.
    """
    oh, ow = size
    steps, images = (BLOCK - 2) // ow + 1, (BLOCK - 2) // (oh * ow) + 1
    return SCRATCH // across + steps * stride + images * max(0, tall - oh * stride) + kh


@inner
def window_starts(pixel, rows, shape, steps, starts):
    """starts[r] = where the window of output pixel `pixel + r` begins in the images with their borders.

    shape: output height and width. steps: numbers from one image, line and place of the window to the next.
    """
    oh, ow = shape
    number, place = divmod(pixel, oh * ow)
    row, column = divmod(place, ow)
    for r in range(rows):
        starts[r] = number * steps[0] + row * steps[1] + column * steps[2]
        column += 1
        if column == ow:
            row, column = row + 1, 0
        if row == oh:
            number, row = number + 1, 0
    for r in range(rows, FEW):
        starts[r] = starts[0]  # there is no such pixel: the first one again


def write(sums, rows, compensation, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
    """A tile into out, flat: sums as they are where it is int32, scaled where it is float32. Known by type: only one is compiled."""
    raise NotImplementedError("for kernels only")


@overload(write)
def _write(sums, rows, compensation, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
    def as_they_are(sums, rows, compensation, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
        copied(sums, rows, compensation, out, pixel * n, n, column, width)

    def with_scales(sums, rows, compensation, row_scale, w_scale, bias, relu, out, pixel, n, column, width):
        scaled(sums, rows, compensation, row_scale, w_scale, bias, relu, out, pixel, n, column, width)

    return as_they_are if out.dtype == types.int32 else with_scales


@compiled
def convolve(x, size, pad_value, window, steps, w, corrections, scales, bias, relu, out, shape, part):
    """Every pixel of `part` (first, end): sums into out int32, or scaled sums into out float32, flat; `convolved` says of what."""
    (offsets, length), (image_scale, w_scale) = window, scales  # scales: of each image, of each output; empty for plain sums
    oh, ow, kh, padding, groups, deep, n, across, all_lines, room = shape
    width, k_size, compensation, ready, base = n // groups, len(offsets) * length, compensation_of(corrections, n), 0, 0
    panels, starts, row_scale = -(-width // PANEL), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.float32)
    held, transposed = np.empty(room * across, CODES), np.empty(k_size // 4 * BLOCK, np.int32)
    lines, sums = np.empty(BLOCK * COLUMNS, np.int32), np.empty((BLOCK + 4) * COLUMNS, np.int32)
    for pixel in range(part[0], part[1], BLOCK):
        rows = min(BLOCK, part[1] - pixel)
        window_starts(pixel, rows, (oh, ow), steps, starts)
        if starts[rows - 1] // across + kh > ready:
            base = starts[0] // across
            ready = min(base + room, all_lines)
            hold(x, base, ready, size, padding, groups, deep, pad_value, held)
        for r in range(BLOCK):
            starts[r] -= base * across
        for r in range(rows if len(image_scale) else 0):
            row_scale[r] = image_scale[(pixel + r) // (oh * ow)]
        for group in range(groups):
            here = held[group * deep :]
            transpose_block(here, starts, rows, offsets, length, corrections, n, transposed)
            for tile in range(-(-width // COLUMNS)):
                panel, column, many = tile * PANELS, group * width + tile * COLUMNS, min(COLUMNS, width - tile * COLUMNS)
                second = second_vector(here, panel, panels, k_size * PANEL)
                block_sums(here, starts, rows, offsets, length, w, (group * panels + panel) * k_size * PANEL, second, sums)
                add_outliers(transposed, rows, corrections, n, column, many, sums, lines)
                write(sums, rows, compensation, row_scale, w_scale, bias, relu, out, pixel, n, column, many)


def convolved(
    x: np.ndarray,
    weight: Int8ConvWeight,
    geometry: tuple[int, int, int],
    scale: np.ndarray | None,
    bias: np.ndarray,
    relu: bool,
) -> Tensor:
    """x (n, h, w, c) int8, contiguous -> sums int32, or with `scale` float32, (n, oh, ow, out). geometry: stride, padding, fill."""
    (images, h, w, _), (kh, kw), n, views, groups = x.shape, weight.kernel, weight.out_features, weight.views, weight.groups
    stride, padding, pad_value = geometry
    oh, ow = conv_size(h, kh, stride, padding), conv_size(w, kw, stride, padding)
    out, numbers = results((images, oh, ow, n), np.int32 if scale is None else np.float32)
    if images == 0:
        return out
    scales = (NO_FLOATS, NO_FLOATS) if scale is None else (scale, views[1])
    deep, pixels, tall = -(-weight.channels // STEP) * STEP, images * oh * ow, h + 2 * padding
    across = (w + 2 * padding) * groups * deep
    steps, window = (tall * across, stride * across, stride * groups * deep), runs((kh, kw), groups, across, deep)
    operands = (
        x.reshape(-1),
        x.shape[1:],
        CODES(pad_value + SHIFT),
        window,
        steps,
        views[0],
        views[-1],
        scales,
        bias,
        relu,
        numbers,
    )
    lines = across, images * tall, min(images * tall, room_for((oh, ow), kh, stride, tall, across))
    parts = cut(pixels, 4, pixels * n * kh * kw * weight.channels)
    run(convolve, (*operands, (oh, ow, kh, padding, groups, deep, n, *lines)), parts)
    return out


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
    """`convolved` for tensors; arguments were checked by `posttrain_lab.kernels`."""
    scales, offset = None if scale is None else flat(scale.detach()), bias_or_zeros(bias, weight.out_features)
    return finish(convolved(whole(x), weight, (stride, padding, pad_value), scales, offset, activation == "relu"), activation)


def int8_conv2d_fast_path(
    x: Tensor,
    weight: Int8ConvWeight,
    stride: int,
    padding: int,
    pad_value: int,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str,
) -> Tensor | None:
    """`int8_conv2d` with no gelu and nothing unusual, not checked before; None for all else."""
    if type(weight) is not Int8ConvWeight or not weight.plain or (scale is not None and weight.scale is None):
        return None
    if (activation != "none" and activation != "relu") or not (type(stride) is type(padding) is type(pad_value) is int):
        return None
    images, (kh, kw), n = array_of(x, np.int8, 4), weight.kernel, weight.out_features
    scales = NO_FLOATS if scale is None else array_of(scale, np.float32, 1)
    offset = np.zeros(n, np.float32) if bias is None else array_of(bias, np.float32, 1)
    if images is None or scales is None or offset is None or len(offset) != n or kh * kw * weight.channels > LARGEST_K:
        return None
    (many, h, w, depth), plain_sums = images.shape, bias is None and activation == "none"
    if len(scales) != many if scale is not None else not plain_sums:
        return None
    if depth != weight.channels * weight.groups or stride < 1 or padding < 0 or not -128 <= pad_value <= 127:
        return None
    if conv_size(h, kh, stride, padding) < 1 or conv_size(w, kw, stride, padding) < 1:
        return None
    return convolved(
        images, weight, (stride, padding, pad_value), None if scale is None else scales, offset, activation == "relu"
    )
