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

from .simd import (
    LANES,
    STEP,
    broadcast_pair,
    broadcast_step,
    load_weights,
    load_widen,
    multiply_add_pairs,
    multiply_add_step,
    store,
    zero,
)

LENGTH = 4096  # bytes that the loop runs over
MEGABYTES = 96  # the array to sum


def _loop(load: Any, broadcast: Any, multiply_add: Any) -> Callable[..., None]:
    """Ten independent sums, so that none waits for the multiplication before."""

    @njit(nogil=True)
    def loop(x, w, out, repeats):
        a, b, c, d, e = zero(), zero(), zero(), zero(), zero()
        f, g, h, i, j = zero(), zero(), zero(), zero(), zero()
        for _ in range(repeats):
            for p in range(0, LENGTH, 64):
                line = load(w, p)
                a, b = multiply_add(a, broadcast(x, p), line), multiply_add(b, broadcast(x, p + 4), line)
                c, d = multiply_add(c, broadcast(x, p + 8), line), multiply_add(d, broadcast(x, p + 12), line)
                e, f = multiply_add(e, broadcast(x, p + 16), line), multiply_add(f, broadcast(x, p + 20), line)
                g, h = multiply_add(g, broadcast(x, p + 24), line), multiply_add(h, broadcast(x, p + 28), line)
                i, j = multiply_add(i, broadcast(x, p + 32), line), multiply_add(j, broadcast(x, p + 36), line)
        for q, total in enumerate((a, b, c, d, e, f, g, h, i, j)):
            store(out, q * LANES, total)

    return loop


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
    step = 2 if pairs else STEP
    words = (load_widen, broadcast_pair, multiply_add_pairs) if pairs else (load_weights, broadcast_step, multiply_add_step)
    loop, repeats, numbers = _loop(*words), 2000, LENGTH + 256
    x = np.ones(numbers, np.int8 if step == 4 else np.int16)
    w, out = np.ones(numbers, np.uint8 if step == 4 else np.int8), np.empty(10 * LANES, np.int32)
    return 2 * step * LANES * 10 * repeats * (LENGTH // 64) / _fastest(lambda: loop(x, w, out, repeats))


def read_bandwidth() -> float:
    """How many bytes a second come from memory to one core?"""
    numbers = torch.ones(MEGABYTES * 250_000)
    return numbers.numel() * 4 / _fastest(numbers.sum)
