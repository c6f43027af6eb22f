"""Can this notebook be read? Asked in a process of its own, with a limit on its memory: what students wrote is decoded there only."""

import contextlib
import json
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import nbformat
import psutil

from posttrain_lab.grading.intake import NeedsAttention, notebook_of

MEMORY = 3 * 2**30  # bytes of address space more than the process has when it starts
PATIENCE = 120.0  # seconds by the clock for one notebook
CLEANED = "what the notebook format does not allow was left out"


class Reader:
    """One process that reads notebooks, one after another; a new one after a notebook that ended it. Use it as a context manager."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: Any) -> None:
        self._end()

    def read(self, raw: bytes, name: str) -> tuple[bytes, list[str]]:
        """The file's bytes, repaired where they need it, and the repairs. Raises NeedsAttention with the reason."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_limited)
        try:
            repaired, remarks, problem = self._pool.submit(_read, raw, name).result(PATIENCE)
        except (BrokenProcessPool, TimeoutError):
            self._end()
            raise NeedsAttention(f"{name} takes too much memory or time to read; look into it.") from None
        if problem:
            raise NeedsAttention(problem)
        return repaired, remarks

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
                process.join()


def _limited() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY,) * 2)


def _read(raw: bytes, name: str) -> tuple[bytes, list[str], str]:
    try:
        notebook, found = notebook_of(raw, name)
        remarks = list(found)
        if not remarks and not _valid(raw):
            remarks = [CLEANED]
        return (nbformat.writes(notebook).encode() if remarks else raw), remarks, ""
    except NeedsAttention as reason:
        return b"", [], str(reason)
    except MemoryError:
        return b"", [], f"{name} takes too much memory to read; look into it."


def _valid(raw: bytes) -> bool:
    """Would nbformat, and so every other tool, read it as it is?"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            nbformat.validate(nbformat.from_dict(json.loads(raw)))
        except Exception:
            return False
    return True
