"""How the work of a kernel is split over threads: one work range for each thread that pays."""

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


def run(kernel: Callable, operands: tuple, ranges: list) -> list:
    """The kernel's results for all work ranges, each after the first in a thread of its own: kernels release the GIL.

    An error in a range, such as memory that runs out, is raised when all have ended. Why not `threading.Thread`? Its start() waits for the
    new thread, and Linux then wakes the caller on the new thread's core: both share it for about as long as these kernels take.
    """
    if len(ranges) == 1:
        return [kernel(*operands, ranges[0])]
    results: list[Any] = []
    errors: list[BaseException] = []

    def work(work_range: tuple, ended: Any) -> None:
        try:
            results.append(kernel(*operands, work_range))
        except BaseException as error:
            errors.append(error)
        finally:
            ended.release()

    ends = [_thread.allocate_lock() for _ in ranges]
    for ended in ends:
        ended.acquire()
    for work_range, ended in zip(ranges[1:], ends[1:], strict=True):
        try:
            _thread.start_new_thread(work, (work_range, ended))
        except RuntimeError:  # there are too many threads already
            work(work_range, ended)
    work(ranges[0], ends[0])
    for ended in ends:
        ended.acquire()
    if errors:
        raise errors[0]
    return results


def flat(matrix: Tensor) -> np.ndarray:
    """numpy's view of a tensor, flat; a copy only where it is not contiguous."""
    array = (matrix if matrix.is_contiguous() else matrix.contiguous()).numpy()
    return array if array.ndim == 1 else array.reshape(-1)


def whole(matrix: Tensor) -> np.ndarray:
    """numpy's view of a tensor, in its shape; a copy only where it is not contiguous."""
    return (matrix if matrix.is_contiguous() else matrix.contiguous()).numpy()
