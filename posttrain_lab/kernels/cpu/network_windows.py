"""The convolutions and Linear layers of a whole integer network: the tiles of `int8_microkernel.py`, from codes to codes.

As in `conv.py` windows are never copied: the padded image is held once, and a row of a tile is a pixel's window, made of runs of codes
that lie side by side. Two things differ, since here one small image comes at a time and codes are wanted, not sums:

- The rows of a block go pooling window by pooling window. The sums that a max pooling compares are then neighbours in the first-level
  cache: only the largest is rescaled, and neither the image of sums nor the larger image of codes ever exists.
- A run is filled up to whole steps at its end, not each pixel: the weights there are 0, whatever code follows in the image. So the
  three codes of a line of a 3 x 3 filter on a grey image take one step of four, not three.
"""

from typing import Any, NamedTuple

import numpy as np

from posttrain_lab.kernels.panel_layout import PANEL
from posttrain_lab.kernels.processor import SHIFT

from .int8_microkernel import BLOCK, COLUMNS, FEW, OutputTile, Rows, block_sums, tile_at
from .jit_cache import inner
from .network_lines import finish_line, store_line
from .saturation_outliers import add_outliers, corrections_of, transpose_block


class WindowScratch(NamedTuple):
    """What one convolution needs beside the arena: the padded image, the places of windows and runs, the sums of a tile."""

    held: Any
    starts: Any
    offsets: Any
    transposed: Any
    sums: Any
    products: Any


@inner
def hold_padded(step, codes, held):
    """held = the image with its padding, codes shifted; `codes` begins with the image. A group's channels fill `depth` codes."""
    own, many = step.channels // step.groups, step.width * step.groups
    # Where no channels are filled up, a whole line is copied at once, else group by group of each pixel.
    pieces, length = (1, step.width * step.channels) if step.depth == own else (many, own)
    for i in range(step.padded_height * step.line_stride if step.padded else 0):
        held[i] = step.x_zero + SHIFT
    for row in range(step.height):
        to, at = (row + step.top) * step.line_stride + step.left * step.pixel_stride, row * step.width * step.channels
        for piece in range(pieces):
            here, there = held[to + piece * step.depth :], codes[at + piece * own :]
            for c in range(length):
                here[c] = there[c] + SHIFT


@inner
def run_offsets(step, offsets):
    """Where the runs of a window lie behind its start: one for each line of the filter, or for each place of it."""
    for i in range(step.kernel_height):
        for j in range(step.runs):
            offsets[i * step.runs + j] = i * step.dilation_height * step.line_stride + j * step.dilation_width * step.pixel_stride


@inner
def pooled_starts(step, first, many, starts):
    """Where the windows begin that the pools `first` to `first + many` look at, pool by pool; returns their number."""
    row = 0
    for pool in range(first, first + many):
        top, left = pool // step.out_width * step.pool_height, pool % step.out_width * step.pool_width
        for i in range(top, top + step.pool_height):
            for j in range(left, left + step.pool_width):
                starts[row] = i * step.stride_height * step.line_stride + j * step.stride_width * step.pixel_stride
                row += 1
    for r in range(row, FEW):
        starts[r] = starts[0]  # there is no such window: the first one again
    return row


@inner
def largest_sums(sums, pool, size, line):
    """line = the largest of the `size` rows of sums that one pool looks at."""
    rows = sums[pool * size * COLUMNS :]
    for c in range(COLUMNS):
        line[c] = rows[c]
    for i in range(1, size):
        row = rows[i * COLUMNS :]
        for c in range(COLUMNS):
            line[c] = max(line[c], np.int64(row[c]))


@inner
def finish_tile(step, constants, arena, first, to, sums, line):
    """The pools from `first` on of one tile: the largest sum of each, rescaled, into the arena. to: as in `OutputTile`, and their number."""
    (tile, many), size = to, step.pool_height * step.pool_width
    for pool in range(many):
        largest_sums(sums, pool, size, line)
        finish_line(step, constants, tile.column, tile.width, line)
        store_line(arena, step.bits, step.y + (first + pool) * step.outputs + tile.column, tile.width, line)


@inner
def convolve_image(step, weights, constants, arena, scratch, line):
    """One convolution of one image. weights: (panels, corrections) of all steps; constants: (bias, multiplier, shift) of all."""
    held, starts, offsets, transposed, sums, products = scratch
    hold_padded(step, arena[0][step.x :], held)
    run_offsets(step, offsets)
    runs, n, width = step.kernel_height * step.runs, step.outputs, step.outputs // step.groups
    panels, stride = -(-width // PANEL), runs * step.run_length * PANEL
    flat = corrections_of(weights[1][step.corrections : step.corrections_end], n)
    at_once, pools = BLOCK // (step.pool_height * step.pool_width), step.out_height * step.out_width
    for first in range(0, pools, at_once):
        many = min(at_once, pools - first)
        count = pooled_starts(step, first, many, starts)
        for group in range(step.groups):
            rows = Rows(held[group * step.depth :], starts, offsets[:runs], step.run_length, count)
            transpose_block(rows, flat, transposed)
            for tile in range(-(-width // COLUMNS)):
                column, begin = group * width + tile * COLUMNS, step.weights + group * panels * stride
                to = OutputTile(sums, 0, n, column, min(COLUMNS, width - tile * COLUMNS))
                block_sums(rows, tile_at(rows.codes, weights[0], tile, panels, stride, begin), sums)
                add_outliers(transposed, count, flat, to, sums, products)
                finish_tile(step, constants, arena, first, (to, many), sums, line)
