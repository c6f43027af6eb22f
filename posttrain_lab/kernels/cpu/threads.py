"""How kernels are compiled, and how their work is cut: one part for each thread that pays."""

import _thread
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

NOTES = "POSTTRAIN_LAB_NOTES"
MACS_A_THREAD = 25_000_000  # below about half a millisecond of work a second thread does not pay


# What kernels on disk were made from: numba looks at a kernel's own file only, but kernels share words and tiles.
SOURCES = tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in sorted(Path(__file__).parent.glob("*.py")))


# For what kernels call: compiled into them, in half the time, since Python cannot call it. Divisions as in `compiled`, whoever calls.
inner: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")  # type: ignore[call-overload] - numba's stubs lack these


def compiled(function: Callable) -> Callable:
    """`njit`, kept on disk for the next process where some folder can be written, else compiled in each process.

    A first compilation says so in a terminal, and in a notebook where NOTES is set in the environment, as `posttrain-lab start` does
    (else the outputs of a notebook would depend on what is on disk). Divisions by zero give infinity, as in numpy.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        kernel = njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        kernel = njit(**options)(function)
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if file is not None and hasattr(file, "_source_stamp"):
        file._source_stamp = SOURCES
    listener = _listener()
    if listener:
        _announce(kernel, listener)
    return kernel


def _listener() -> Any:
    """Where a note about compiling is read: the terminal, the cell of a notebook, or nowhere."""
    if "ipykernel" in sys.modules and os.environ.get(NOTES):
        return sys.stdout
    return sys.stderr if sys.stderr.isatty() else None


def _announce(kernel: Callable, listener: Any) -> None:
    """Let a kernel say when it has to be compiled."""
    compile_now = kernel._compiler.compile  # type: ignore[attr-defined]

    def compile_aloud(*args: object) -> object:
        print(f"Compiling {kernel.__name__} for this processor, once ...", file=listener, flush=True)
        return compile_now(*args)

    kernel._compiler.compile = compile_aloud  # type: ignore[attr-defined]


def cut(size: int, least: int, macs: int) -> list[tuple[int, int]]:
    """0 ... size in one piece for each thread that pays, every piece at least `least` long and a multiple of it."""
    if macs < 2 * MACS_A_THREAD:
        return [(0, size)]
    pieces = max(1, min(torch.get_num_threads(), size // least, macs // MACS_A_THREAD))
    edges = [size * i // pieces // least * least for i in range(pieces)] + [size]
    return list(itertools.pairwise(edges))


def run(kernel: Callable, operands: tuple, parts: list) -> list:
    """What the kernel returns for every part, each further part in a thread of its own: kernels let go of Python's lock.

    What a part raises, as where memory runs out, is raised when all have ended. `threading.Thread` would wait until the new thread
    runs, and be woken on the new thread's processor, where both then share one core: for as long as these kernels take.
    """
    if len(parts) == 1:
        return [kernel(*operands, parts[0])]
    results: list[Any] = []
    errors: list[BaseException] = []

    def work(part: tuple, ended: Any) -> None:
        try:
            results.append(kernel(*operands, part))
        except BaseException as error:
            errors.append(error)
        finally:
            ended.release()

    ends = [_thread.allocate_lock() for _ in parts]
    for ended in ends:
        ended.acquire()
    for part, ended in zip(parts[1:], ends[1:], strict=True):
        try:
            _thread.start_new_thread(work, (part, ended))
        except RuntimeError:  # there are too many threads already
            work(part, ended)
    work(parts[0], ends[0])
    for ended in ends:
        ended.acquire()
    if errors:
        raise errors[0]
    return results


def flat(matrix: Tensor) -> np.ndarray:
    """The numbers of a tensor in a row, copied only when they are not contiguous."""
    array = (matrix if matrix.is_contiguous() else matrix.contiguous()).numpy()
    return array if array.ndim == 1 else array.reshape(-1)


def whole(matrix: Tensor) -> np.ndarray:
    """The numbers of a tensor in its shape, copied only when they are not contiguous."""
    return (matrix if matrix.is_contiguous() else matrix.contiguous()).numpy()
