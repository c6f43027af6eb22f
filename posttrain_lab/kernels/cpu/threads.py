"""How kernels are compiled, and how their work is cut: one part for each thread that pays."""

import itertools
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numba import njit
from torch import Tensor

MACS_A_THREAD = 25_000_000  # below about half a millisecond of work a second thread does not pay


# What kernels on disk were made from: numba looks at a kernel's own file only, but kernels share words and tiles.
SOURCES = tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in sorted(Path(__file__).parent.glob("*.py")))


def compiled(function: Callable) -> Callable:
    """`njit`, kept on disk for the next process where some folder can be written, else compiled in each process.

    In a terminal a first compilation says so. Divisions by zero give infinity, as in numpy.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        kernel = njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        kernel = njit(**options)(function)
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if file is not None and hasattr(file, "_source_stamp"):
        file._source_stamp = SOURCES
    if sys.stderr.isatty():
        _announce(kernel)
    return kernel


def _announce(kernel: Callable) -> None:
    """Let a kernel say on the terminal when it has to be compiled."""
    compile_now = kernel._compiler.compile  # type: ignore[attr-defined]

    def compile_aloud(*args: object) -> object:
        print(f"Compiling {kernel.__name__} for this processor, once ...", file=sys.stderr, flush=True)
        return compile_now(*args)

    kernel._compiler.compile = compile_aloud  # type: ignore[attr-defined]


def cut(size: int, least: int, macs: int) -> list[tuple[int, int]]:
    """0 ... size in one piece for each thread that pays, every piece at least `least` long and a multiple of it."""
    pieces = max(1, min(torch.get_num_threads(), size // least, macs // MACS_A_THREAD))
    edges = [size * i // pieces // least * least for i in range(pieces)] + [size]
    return list(itertools.pairwise(edges))


def run(kernel: Callable, operands: tuple, parts: list) -> None:
    """The kernel on every part, each further part in a thread of its own: kernels let go of Python's lock."""
    threads = [threading.Thread(target=kernel, args=(*operands, part)) for part in parts[1:]]
    for thread in threads:
        thread.start()
    kernel(*operands, parts[0])
    for thread in threads:
        thread.join()


def flat(matrix: Tensor) -> np.ndarray:
    """The numbers of a tensor in a row, copied only when they are not contiguous."""
    return matrix.contiguous().numpy().reshape(-1)
