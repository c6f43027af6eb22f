"""int8_conv2d: the tiles of int8_linear read their inputs where the image holds them.

A line buffer holds some lines of the images with their padding: codes shifted, the channels of a group padded to whole steps. A row of a
tile is then a pixel's window: a run of neighbours for each line of the filter (for each place of it, with groups). Windows are never
copied (no im2col): neighbouring windows share most of their codes, and so do their rows here.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload
from torch import Tensor

from posttrain_lab.kernels.geometry import ConvGeometry, conv_geometry, conv_size
from posttrain_lab.kernels.packed import Int8ConvWeight
from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.processor import SHIFT, STEP
from posttrain_lab.kernels.validation import LARGEST_K
from posttrain_lab.kernels.views_cache import array_of

from .int8_microkernel import (
    BLOCK,
    CODES,
    COLUMNS,
    FEW,
    Epilogue,
    OutputTile,
    Rows,
    block_sums,
    store_plain_sums,
    store_scaled_sums,
    tile_at,
)
from .jit_cache import compiled, inner
from .linear import bias_or_zeros, finish, results
from .saturation_outliers import add_outliers, corrections_of, transpose_block
from .threads import cut, flat, run, whole

NO_FLOATS = np.empty(0, np.float32)
SCRATCH = 1 << 18  # codes in a line buffer: they stay in the second-level cache


class LineBuffer(NamedTuple):
    """Lines of the padded images, one below another, as if all images were one tall one.

    padded_channels: codes of a pixel and group, whole steps. line_stride: codes of a line. run_length: codes of a window that lie
    side by side. lines: how many the buffer holds. padded_height: lines of an image; all_lines: of all images.
    """

    padded_channels: int
    line_stride: int
    run_length: int
    lines: int
    padded_height: int
    all_lines: int


def buffer_lines(geometry: ConvGeometry, padded_height: int, line_stride: int, scratch: int) -> int:
    """How many lines are held at a time: as many as `scratch` codes allow, and at least all that a block of pixels sees."""
    ow, pixels = geometry.out_width, geometry.out_height * geometry.out_width
    steps, images = (BLOCK - 2) // ow + 1, (BLOCK - 2) // pixels + 1
    unseen = max(0, padded_height - geometry.out_height * geometry.stride)  # below the last window of an image
    return scratch // line_stride + steps * geometry.stride + images * unseen + geometry.kernel_height


@functools.lru_cache(maxsize=1024)
def plan(geometry: ConvGeometry, images: int, scratch: int) -> tuple[tuple[int, ...], tuple[int, ...], np.ndarray]:
    """The geometry, its `LineBuffer`, and where the runs of a window lie behind its start, for the first group.

    As plain tuples: Numba recognises their type ten times faster than that of a NamedTuple, when a kernel is called.
    """
    groups, padding = geometry.groups, geometry.padding
    padded_channels = -(-geometry.channels // groups // STEP) * STEP
    line_stride, padded_height = (geometry.width + 2 * padding) * groups * padded_channels, geometry.height + 2 * padding
    # With groups, the channels of one pixel's group do not lie next to the next pixel's: a run for each place of the filter.
    runs = 1 if groups == 1 else geometry.kernel_width
    lines = np.arange(geometry.kernel_height, dtype=np.int64)[:, None] * line_stride
    offsets = (lines + np.arange(runs, dtype=np.int64) * groups * padded_channels).reshape(-1)
    held = min(images * padded_height, buffer_lines(geometry, padded_height, line_stride, scratch))
    run_length = geometry.kernel_width // runs * padded_channels
    buffer = LineBuffer(padded_channels, line_stride, run_length, held, padded_height, images * padded_height)
    return tuple(geometry), tuple(buffer), offsets


@inner
def copy_padded(images, lines, geometry, buffer, held):
    """held = the lines from lines[0] to lines[1] of the padded images: codes shifted, `pad_value` around them.

    images: (codes [n, height, width, channels] int8, flat; pad_value).
    """
    (x, pad_value), padding, groups, padded = images, geometry.padding, geometry.groups, buffer.padded_channels
    # Where no channel has to be added, a whole line is copied at once, else group by group of each pixel.
    joined = groups * padded == geometry.channels
    pieces = 1 if joined else geometry.width * groups
    channels = geometry.width * geometry.channels if joined else geometry.channels // groups
    # All is padding first. What only fills up channels may hold anything, since its weights are 0.
    for i in range((lines[1] - lines[0]) * buffer.line_stride):
        held[i] = pad_value + SHIFT
    for line in range(lines[0], lines[1]):
        row = line % buffer.padded_height - padding
        to = (line - lines[0]) * buffer.line_stride + padding * groups * padded
        at = (line // buffer.padded_height * geometry.height + row) * geometry.width * geometry.channels
        for j in range(pieces if 0 <= row < geometry.height else 0):
            here, there = held[to + j * padded :], x[at + j * channels :]
            for c in range(channels):
                here[c] = there[c] + SHIFT


@inner
def window_starts(pixel, count, geometry, buffer, starts):
    """starts[r] = where the window of output pixel `pixel + r` begins in the padded images, for r < count."""
    image, place = divmod(pixel, geometry.out_height * geometry.out_width)
    row, column = divmod(place, geometry.out_width)
    image_stride, row_stride = buffer.padded_height * buffer.line_stride, geometry.stride * buffer.line_stride
    column_stride = geometry.stride * geometry.groups * buffer.padded_channels
    for r in range(count):
        starts[r] = image * image_stride + row * row_stride + column * column_stride
        column += 1
        if column == geometry.out_width:
            row, column = row + 1, 0
        if row == geometry.out_height:
            image, row = image + 1, 0
    for r in range(count, FEW):
        starts[r] = starts[0]  # there is no such pixel: the first one again


def store_sums(sums, count, epilogue, to):
    """A tile into `to`: plain sums where it is int32, scaled sums where it is float32. Known by type: only one is compiled."""
    raise NotImplementedError("for kernels only")


@overload(store_sums, jit_options={"_nrt": False})  # type: ignore[typeddict-item]  # as in `inner`
def _store_sums(sums, count, epilogue, to):
    def plain(sums, count, epilogue, to):
        store_plain_sums(sums, count, epilogue.compensation, to)

    def scaled(sums, count, epilogue, to):
        store_scaled_sums(sums, count, epilogue, to)

    return plain if to[0].dtype == types.int32 else scaled


@inner
def multiply_group(rows, weight, group, epilogue, to, scratch):
    """The sums of a block of windows with the filters of one group; weight: (panels, corrections); `to`: all outputs of the group."""
    (w, corrections), (transposed, sums, products) = weight, scratch
    panels, stride = -(-to.width // PANEL), len(rows.offsets) * rows.length * PANEL
    transpose_block(rows, corrections, transposed)
    for tile in range(-(-to.width // COLUMNS)):
        block_sums(rows, tile_at(rows.codes, w, tile, panels, stride, group * panels * stride), sums)
        done = tile * COLUMNS
        tile_to = OutputTile(to.out, to.start, to.stride, to.column + done, min(COLUMNS, to.width - done))
        add_outliers(transposed, rows.count, corrections, tile_to, sums, products)
        store_sums(sums, rows.count, epilogue, tile_to)


@inner
def convolve_blocks(images, weight, scales, sizes, to, scratch):
    """`convolve`, given `scratch`. sizes: (geometry, buffer, offsets); to: (out, work_range)."""
    (geometry, buffer, offsets), (image_scale, w_scale, bias, relu), (out, work_range) = sizes, scales, to
    (held, starts, row_scale), n, width = scratch[:3], geometry.outputs, geometry.outputs // geometry.groups
    corrections, first_line, end_line = corrections_of(weight[1], n), 0, 0
    epilogue = Epilogue(corrections.compensation, row_scale, w_scale, bias, relu)
    for pixel in range(work_range[0], work_range[1], BLOCK):
        count = min(BLOCK, work_range[1] - pixel)
        window_starts(pixel, count, geometry, buffer, starts)
        # Pixels go down the images, so does the buffer: it is filled anew when a block sees a line below it, from the block's first line.
        if starts[count - 1] // buffer.line_stride + geometry.kernel_height > end_line:
            first_line = starts[0] // buffer.line_stride
            end_line = min(first_line + buffer.lines, buffer.all_lines)
            copy_padded(images, (first_line, end_line), geometry, buffer, held)
        # From here on, windows are looked for in the buffer, and each row is scaled by its image.
        for r in range(BLOCK):
            starts[r] -= first_line * buffer.line_stride
        for r in range(count if len(image_scale) else 0):
            row_scale[r] = image_scale[(pixel + r) // (geometry.out_height * geometry.out_width)]
        # The groups of a pixel lie side by side: the windows of another group are the same places, some codes further on.
        for group in range(geometry.groups):
            rows = Rows(held[group * buffer.padded_channels :], starts, offsets, buffer.run_length, count)
            group_to = OutputTile(out, pixel * n, n, group * width, width)
            multiply_group(rows, (weight[0], corrections), group, epilogue, group_to, scratch[3:])


@compiled
def convolve(images, weight, scales, plan, out, work_range):
    """Every pixel from work_range[0] to work_range[1]: sums into out int32, or scaled sums into out float32, flat.

    images: as in `copy_padded`. weight: (panels, corrections). scales: (of each image, of each output, bias, relu), the first two
    empty for plain sums. plan: see `plan`.
    """
    geometry, buffer, offsets = ConvGeometry(*plan[0]), LineBuffer(*plan[1]), plan[2]
    scratch = (
        np.empty(buffer.lines * buffer.line_stride, CODES),
        np.empty(BLOCK, np.int64),
        np.empty(BLOCK, np.float32),
        np.empty(len(offsets) * buffer.run_length // 4 * BLOCK, np.int32),
        np.empty((BLOCK + 4) * COLUMNS, np.int32),
        np.empty(BLOCK * COLUMNS, np.int32),
    )
    convolve_blocks(images, weight, scales, (geometry, buffer, offsets), (out, work_range), scratch)


def convolved(
    x: np.ndarray,
    weight: Int8ConvWeight,
    steps: tuple[int, int, int],
    scale: np.ndarray | None,
    bias: np.ndarray,
    relu: bool,
) -> Tensor:
    """x (n, h, w, c) int8, contiguous -> sums int32, or with `scale` float32, (n, oh, ow, out). steps: stride, padding, pad_value."""
    views, filters, (stride, padding, pad_value) = weight.views, (weight.out_features, *weight.kernel), steps
    geometry = conv_geometry(x.shape[1:], filters, weight.groups, stride, padding)
    shape = len(x), geometry.out_height, geometry.out_width, geometry.outputs
    out, elements = results(shape, np.int32 if scale is None else np.float32)
    if len(x) == 0:
        return out
    scales = (NO_FLOATS, NO_FLOATS, bias, relu) if scale is None else (scale, views[1], bias, relu)
    pixels = len(x) * geometry.out_height * geometry.out_width
    ranges = cut(pixels, 4, pixels * geometry.outputs * filters[1] * filters[2] * weight.channels)
    operands = ((x.reshape(-1), pad_value), (views[0], views[-1]), scales, plan(geometry, len(x), SCRATCH), elements)
    run(convolve, operands, ranges)
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
