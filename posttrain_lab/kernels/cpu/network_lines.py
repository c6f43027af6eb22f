"""Lines of codes for a whole integer network: the channels of one pixel, as int64, on their way from arena to arena.

The arena is one piece of memory, seen as int8, int16 and int32; a value's place is counted in its own codes. Every step of a network is
described by one record of the table STEP, so that one compiled function runs any network.
"""

import numpy as np

from .jit_cache import inner

CONV, ADD, MEAN, MAX = range(4)  # what a step does with its window: products; sums; sums divided by their number; the largest
FIELDS = (
    *(
        "kind",
        "bits",
        "y",
        "first_term",
        "end_term",
    ),  # result: bits of a code, place in the arena; inputs: rows of the table TERM
    *("height", "width", "channels", "out_height", "out_width", "outputs"),
    *("kernel_height", "kernel_width", "stride_height", "stride_width", "dilation_height", "dilation_width", "top", "left"),
    *("constants", "zero_point", "low", "high"),  # where bias, multiplier and shift begin: one for each output
    # Of convolutions alone: the input's place, its padding, how the padded image is held (codes of a pixel's group, of a pixel, of a
    # line), the runs of a line of the filter, and where weights and corrections lie.
    *("x", "x_zero", "padded", "padded_height", "groups", "pool_height", "pool_width"),
    *("depth", "pixel_stride", "line_stride", "runs", "run_length", "weights", "corrections", "corrections_end"),
)
STEP = np.dtype([(name, np.int64) for name in FIELDS])
TERM = np.dtype([("at", np.int64), ("bits", np.int64), ("factor", np.int64)])  # one input of a step, and what it is multiplied by


@inner
def load_line(arena, bits, at, count, line):
    """line[:count] = the codes from place `at` on."""
    if bits == 8:
        codes = arena[0][at:]
        for c in range(count):
            line[c] = codes[c]
    elif bits == 16:
        words = arena[1][at:]
        for c in range(count):
            line[c] = words[c]
    else:
        sums = arena[2][at:]
        for c in range(count):
            line[c] = sums[c]


@inner
def store_line(arena, bits, at, count, line):
    """The inverse of `load_line`."""
    if bits == 8:
        codes = arena[0][at:]
        for c in range(count):
            codes[c] = line[c]
    elif bits == 16:
        words = arena[1][at:]
        for c in range(count):
            words[c] = line[c]
    else:
        sums = arena[2][at:]
        for c in range(count):
            sums[c] = line[c]


@inner
def finish_line(step, constants, column, count, line):
    """line = clamp((((line + bias) * multiplier + half) >> shift) + zero point), for `count` outputs from `column` on, in int64.

    A step that does not rescale has bias 0, multiplier 1 and shift 0: then half is 0, too.
    """
    first = step.constants + column
    bias, multiplier, shift = constants[0][first:], constants[1][first:], constants[2][first:]
    zero_point, low, high = step.zero_point, step.low, step.high
    for c in range(count):
        half = (np.int64(1) << shift[c]) >> 1
        code = (((line[c] + bias[c]) * multiplier[c] + half) >> shift[c]) + zero_point
        line[c] = min(max(code, low), high)


@inner
def take_in(step, term, arena, at, line, codes):
    """line = line + factor * codes, or the larger of both, for the pixel whose codes begin at place `at`."""
    load_line(arena, term.bits, at, step.channels, codes)
    if step.kind == MAX:
        for c in range(step.channels):
            line[c] = max(line[c], codes[c])
    else:
        factor = term.factor
        for c in range(step.channels):
            line[c] += factor * codes[c]


@inner
def take_window(step, term, arena, pixel, line, codes):
    """All that lies inside the image of the window of output `pixel` goes into the line."""
    top = pixel // step.out_width * step.stride_height - step.top
    left = pixel % step.out_width * step.stride_width - step.left
    for i in range(step.kernel_height):
        row = top + i * step.dilation_height
        for j in range(step.kernel_width):
            column = left + j * step.dilation_width
            if 0 <= row < step.height and 0 <= column < step.width:
                take_in(step, term, arena, term.at + (row * step.width + column) * step.channels, line, codes)


@inner
def reduce_windows(step, terms, constants, arena, line, codes):
    """Pooling, averages, sums and rescalings of one image, pixel by pixel: a result may be written over an input that is read here."""
    nothing = -(np.int64(1) << (step.bits - 1)) if step.kind == MAX else np.int64(0)
    count = step.kernel_height * step.kernel_width
    for pixel in range(step.out_height * step.out_width):
        for c in range(step.channels):
            line[c] = nothing
        for number in range(step.first_term, step.end_term):
            take_window(step, terms[number], arena, pixel, line, codes)
        for c in range(step.channels if step.kind == MEAN else 0):
            line[c] = (2 * line[c] + count) // (2 * count)
        finish_line(step, constants, 0, step.channels, line)
        store_line(arena, step.bits, step.y + pixel * step.channels, step.channels, line)
