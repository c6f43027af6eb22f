"""Run a notebook's graded cells in this process, with any function instead of the student's, and record what they read.

The result of a check cell that never reads a name does not depend on it. The namespace records every name that is read,
so the proof knows which check cells a wrong function could affect, and need not run the others.
"""

import contextlib
import io
import linecache
import random
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from posttrain_lab.kernels.gpu.interpreter import left_as_found


class Namespace(dict[str, Any]):
    """A notebook's globals; `read` collects the names that code looks up in it (functions defined here included)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


@dataclass(frozen=True)
class Ran:
    """The result of one cell: no exception (`ok`); its message, its stderr, the names that it read and changed."""

    ok: bool
    message: str
    stderr: str
    read: frozenset[str]
    changed: tuple[str, ...]
    seconds: float


class NotebookRunner:
    """The namespace of a notebook, in which cells are run one after another.

    >>> bench = NotebookRunner()
    >>> bench.run("a = 2", "<first>").ok
    True
    >>> bench.run("print(a + 1)", "<second>").message
    '3'
    >>> sorted(bench.run("b = a", "<third>").read)
    ['a']
    """

    def __init__(self) -> None:
        self.names = Namespace(__name__="__main__", display=lambda *_, **__: None)

    def run(self, source: str, label: str) -> Ran:
        """Run one cell; its exception becomes the message, and its warnings become stderr."""
        linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)
        before, start = _fingerprint(self.names), time.perf_counter()
        self.names.read.clear()
        out, err, error = io.StringIO(), io.StringIO(), None
        with (
            warnings.catch_warnings(record=True) as warned,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            warnings.simplefilter("always")
            try:
                exec(compile(source, label, "exec"), self.names)
            except Exception as caught:
                error = caught
        seconds, read = time.perf_counter() - start, frozenset(self.names.read)
        after = _fingerprint(self.names)
        changed = tuple(sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)))
        message = out.getvalue() if error is None else _said(error)
        stderr = "\n".join([err.getvalue(), *(f"{w.category.__name__}: {w.message}" for w in warned)])
        return Ran(error is None, message.strip(), stderr.strip(), read, changed, seconds)

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """All names are restored when the block ends."""
        before = dict(self.names)
        try:
            yield
        finally:
            self.names.clear()
            self.names.update(before)


@contextlib.contextmanager
def machine_restored() -> Iterator[None]:
    """Random states, torch's threads and Triton's interpreter are restored when the block ends: a setup cell changes them."""
    threads, state, numpy_state = torch.get_num_threads(), random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]), left_as_found():
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _said(error: Exception) -> str:
    from posttrain_lab.checks.engine.exercise import CheckFailed

    return str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"


def _fingerprint(names: dict[str, Any]) -> dict[str, Any]:
    """The state that a check must not change: the names, the random states, the number of threads, grad mode."""
    state: dict[str, Any] = {f"the name {name}": id(value) for name, value in names.items() if name != "__builtins__"}
    state["torch's random state"] = torch.get_rng_state().numpy().tobytes()
    state["Python's random state"] = hash(random.getstate())
    state["numpy's random state"] = np.random.get_state()[1].tobytes()  # noqa: NPY002  # type: ignore[index]
    state["torch's number of threads"] = torch.get_num_threads()
    state["torch's gradient mode"] = torch.is_grad_enabled()
    return state
