"""What can one core of this machine do at best? Its integer multiplications and its reading from memory, measured.

The two numbers are the roof of a roofline (Williams et al. 2009). Peaks are those of a loop that does nothing else, operands in the
nearest cache; the bandwidth is that of a sum over an array too large for any cache. The best of several runs counts.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit

from posttrain_lab.kernels.processor import STEP

from .simd import LANES, load, multiply_add_pairs, store, zero
from .simd_bytes import load_bytes, multiply_add_quads

LENGTH = 4096  # numbers that the loop runs over
MEGABYTES = 96  # the array to sum


def _loop(line: Any, multiply_add: Any) -> Callable[..., None]:
    """Eight independent sums, so that none waits for the multiplication before; one load for two multiplications."""

    @njit(nogil=True)
    def loop(x, w, out, repeats):
        a, b, c, d, e, f, g, h = zero(), zero(), zero(), zero(), zero(), zero(), zero(), zero()
        v, u = line(w, 0), line(w, 64)
        for _ in range(repeats):
            for p in range(0, LENGTH, 256):
                one, two = line(x, p), line(x, p + 64)
                a, b, c, d = multiply_add(a, v, one), multiply_add(b, u, one), multiply_add(c, v, two), multiply_add(d, u, two)
                one, two = line(x, p + 128), line(x, p + 192)
                e, f, g, h = multiply_add(e, v, one), multiply_add(f, u, one), multiply_add(g, v, two), multiply_add(h, u, two)
        for q, total in enumerate((a, b, c, d, e, f, g, h)):
            store(out, q * LANES, total)

    return loop


def multiplications(pairs: bool = False, repeats: int = 2000) -> tuple[Callable[[], int], int]:
    """A call that multiplies ones and returns their sum, and how many operations it makes: a multiply and an add are two.

    With `pairs`: products of 16-bit pairs; else the best word of this machine.

    >>> call, operations = multiplications(pairs=True, repeats=1)
    >>> call() == operations // 2
    True
    """
    fours = STEP == 4 and not pairs
    loop = _loop(load_bytes, multiply_add_quads) if fours else _loop(load, multiply_add_pairs)
    x, w = np.ones(LENGTH, np.int8 if fours else np.int16), np.ones(LENGTH, np.uint8 if fours else np.int16)

    def call() -> int:
        out = np.empty(8 * LANES, np.int32)
        loop(x, w, out, repeats)
        return int(out.sum())

    return call, 2 * (4 if fours else 2) * LANES * 8 * repeats * (LENGTH // 256)


def _fastest(run: Callable[[], Any], runs: int = 15) -> float:
    run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def int8_peak(pairs: bool = False) -> float:
    """How many operations a second do int8 products reach? With `pairs`, those of 16-bit pairs; else the machine's best word."""
    call, operations = multiplications(pairs)
    return operations / _fastest(call)


def read_bandwidth() -> float:
    """How many bytes a second come from memory to one core?"""
    numbers = torch.ones(MEGABYTES * 250_000)
    return numbers.numel() * 4 / _fastest(numbers.sum)
