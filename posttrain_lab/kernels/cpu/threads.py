"""How the work of kernels is cut: one part for each thread that pays."""

import _thread
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

MACS_A_THREAD = 25_000_000  # below about half a millisecond of work a second thread does not pay


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
