"""A whole integer network in one call: floats in, floats out, and between them the list of its steps in one arena.

A small network computes one image in less time than Python needs to call its layers. So Python makes a table of the steps once, and this
function goes through it image by image: quantize, every step (`network_windows.py`, `network_lines.py`), dequantize. All memory is
taken once at the beginning. Each result is that of the layers called one by one, bit by bit.
"""

from typing import Any, NamedTuple

import numpy as np

from .int8_microkernel import BLOCK, CODES, COLUMNS
from .jit_cache import compiled, inner
from .network_lines import CONV, load_line, reduce_windows
from .network_windows import WindowScratch, convolve_image


class Tables(NamedTuple):
    """A network as arrays: rows of STEP and TERM, packed weights with their corrections, (bias, multiplier, shift) of all outputs."""

    steps: Any
    terms: Any
    weights: Any
    constants: Any


class Ends(NamedTuple):
    """How floats become codes, and integers floats again.

    x_scale: one float32 in an array. grid: (zero point, lowest, highest code, place in the arena). result: (zero point, bits, place in
    the arena, pixels). y_scale: one for each channel of the result.
    """

    x_scale: Any
    grid: Any
    result: Any
    y_scale: Any


@inner
def quantize_image(x, ends, shape, codes):
    """codes = clamp(round(x / scale) + zero point), from [channel, pixel] to [pixel, channel]; False where a number is NaN."""
    (channels, pixels), scale, (zero_point, low, high, _) = shape, ends.x_scale[0], ends.grid
    numbers, shift, bottom, top = True, np.float32(zero_point), np.float32(low), np.float32(high)
    for channel in range(channels):
        plane, to = x[channel * pixels :], codes[channel:]
        for pixel in range(pixels):
            numbers &= plane[pixel] == plane[pixel]
            to[pixel * channels] = np.int8(min(max(np.rint(plane[pixel] / scale) + shift, bottom), top))
    return numbers


@inner
def dequantize_line(arena, ends, pixel, line, out):
    """out = (integer - zero point) * scale for the channels of one pixel of the result, rounded to float32 after each step."""
    (zero_point, bits, at, _), channels = ends.result, len(ends.y_scale)
    load_line(arena, bits, at + pixel * channels, channels, line)
    for c in range(channels):
        out[pixel * channels + c] = np.float32(line[c] - zero_point) * ends.y_scale[c]


@inner
def run_image(tables, ends, arena, scratch, line, codes):
    """Every step, in order."""
    for number in range(len(tables.steps)):
        step = tables.steps[number]
        if step.kind == CONV:
            convolve_image(step, tables.weights, tables.constants, arena, scratch, line)
        else:
            reduce_windows(step, tables.terms, tables.constants, arena, line, codes)


@inner
def run_images(images, tables, ends, work_range, scratch):
    """`run_network`, given `scratch`: (arena, WindowScratch, line, codes)."""
    (x, out, (channels, pixels)), (arena, windows, line, codes) = images, scratch
    outputs, values = ends.result[3] * len(ends.y_scale), channels * pixels
    for image in range(work_range[0], work_range[1]):
        if not quantize_image(x[image * values :], ends, (channels, pixels), arena[0][ends.grid[3] :]):
            return image
        run_image(tables, ends, arena, windows, line, codes)
        for pixel in range(ends.result[3]):
            dequantize_line(arena, ends, pixel, line, out[image * outputs :])
    return work_range[1]


@compiled
def run_network(images, tables, ends, sizes, work_range):
    """Images work_range[0] to work_range[1]. Returns the first one that holds NaN; the end where there is none.

    images: (x, out, (channels, pixels)), x and out float32 and flat. tables, ends: plain tuples of `Tables` and `Ends`. sizes: (bytes of
    the arena, codes of the largest padded image, most runs of a window, most codes of a window, most channels).
    """
    arena_bytes, held, runs, window, channels = sizes
    memory = np.empty(arena_bytes // 8 + 1, np.int64)
    arena = memory.view(np.int8), memory.view(np.int16), memory.view(np.int32)
    windows = WindowScratch(
        np.empty(held, CODES),
        np.empty(BLOCK, np.int64),
        np.empty(runs, np.int64),
        np.empty(window // 4 * BLOCK, np.int32),
        np.empty((BLOCK + 4) * COLUMNS, np.int32),
        np.empty(BLOCK * COLUMNS, np.int32),
    )
    line, codes = np.empty(channels, np.int64), np.empty(channels, np.int64)
    return run_images(images, Tables(*tables), Ends(*ends), work_range, (arena, windows, line, codes))
