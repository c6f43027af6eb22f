"""The grader's end: a submission's process in the sandbox, in the place of a Jupyter kernel (`session.StudentKernel`).

What comes from there is bounded before it is read: bytes on the line, characters of a text. A process that ends, or uses up its time,
is replaced by a new fork, in which the cells that ran well are run again.
"""

import contextlib
import json
import math
import os
import select
import signal
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from posttrain_lab.checks.engine.time_limit import call_too_long, too_long
from posttrain_lab.grading.outputs import Outputs
from posttrain_lab.grading.sandbox.fork_server import ForkServer, connect, receive, send
from posttrain_lab.grading.sandbox.rights import Room
from posttrain_lab.grading.sandbox.time_used import TimeUsed, tree
from posttrain_lab.grading.session import DIED, GraderFault, KernelLost, Limits

MODULE = "posttrain_lab.grading.sandbox.worker"
LOOK = 0.1  # seconds between two looks at the time used


@dataclass(frozen=True)
class Confinement:
    """How the worker runs: the folder of the package that it sees, the paths that the sandbox shows, and what it may use."""

    package: Path
    visible: tuple[Path, ...]
    confined: bool = True
    room: Room = field(default_factory=Room)

    def server(self) -> ForkServer:
        """The fork server for submissions; it is ready when this returns."""
        settings = {"visible": [str(path) for path in self.visible], "confined": self.confined, "room": asdict(self.room)}
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "OPENBLAS_CORETYPE") if key in os.environ}
        env = {**kept, "PYTHONPATH": str(self.package), "OMP_NUM_THREADS": "1", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {"MPLBACKEND": "agg", "NUMBA_CACHE_DIR": "/tmp/numba"}
        return ForkServer(MODULE, env, (json.dumps(settings),))


class SandboxedKernel:
    """One submission: `run` its cells, `ask` for values. `address` is that of the worker's server; `files` are base64 texts by path."""

    def __init__(self, address: str, files: dict[str, str] | None = None, limits: Limits | None = None):
        self.address, self.files, self.limits = address, files or {}, limits or Limits()
        self.starts = 0
        self._gone = 0.0  # seconds used by processes that are gone
        self._good_cells: list[str] = []
        self._line: socket.socket | None = None
        self._process = 0
        self._all: TimeUsed | None = None

    @property
    def used(self) -> float:
        """Seconds that the submission has used: processor time, and time asleep."""
        return self._gone + (self._all.seconds() if self._all else 0.0)

    def __enter__(self) -> "SandboxedKernel":
        return self

    def __exit__(self, *_: Any) -> None:
        self._kill()

    def run(self, source: str, keep: bool = True) -> list[NotebookNode]:
        """The cell's outputs. `keep`: run it again after a restart. Raises KernelLost when the cell ended the process or took too long."""
        self._ready()
        outputs = self._cell(source)
        if keep:
            self._good_cells.append(source)
        return outputs

    def ask(self, expression: str, left: float = math.inf) -> str:
        """The repr of an expression's value. Raises KernelLost; ValueError when no text was received.

        `left`: of the exercise's time; this call may use no more of it.
        """
        self._ready()
        most = self.limits.call
        reply = self._asked({"ask": expression}, min(most, left), call_too_long(most, self.limits.exercise, left, False))
        text = reply.get("text")
        if not isinstance(text, str) or not text:
            raise ValueError("no text came back")
        return text

    def _cell(self, source: str) -> list[NotebookNode]:
        reply, outputs = (
            self._asked({"cell": source}, self.limits.cell, too_long("the cell did not end", self.limits.cell, False)),
            Outputs(),
        )
        messages = reply.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict):
                outputs.take({**message, "header": {"msg_type": message.get("msg_type")}})
        return outputs.nodes

    def _ready(self) -> None:
        if self.used > self.limits.notebook:
            self._kill()
            raise KernelLost(f"the notebook used all of its {self.limits.notebook:g} seconds before this")
        while self._line is None:
            if self.starts > self.limits.restarts:
                raise KernelLost(f"the notebook ended or blocked its Python process {self.starts} times before this")
            self._start()
            self._replay()

    def _start(self) -> None:
        self.starts += 1
        try:
            self._line, self._process = connect(self.address)
            self._all = TimeUsed(self._process)
            hello = self._reply(self.limits.start, "it did not start")
        except (OSError, KernelLost) as error:
            self._kill()
            raise GraderFault(f"The sandbox could not be started: {error}; run `posttrain-lab doctor`.") from error
        if not hello.get("ready"):
            self._kill()
            raise GraderFault(f"The sandbox could not be entered: {hello.get('fault')}; run `posttrain-lab doctor`.")
        if self.files:
            self._asked({"files": self.files}, self.limits.start, "its files were not written")

    def _replay(self) -> None:
        for source in list(self._good_cells):
            try:
                self._cell(source)
            except KernelLost:
                self._good_cells.remove(source)
                return

    def _asked(self, message: dict[str, Any], seconds: float, complaint: str) -> dict[str, Any]:
        try:
            send(self._line, message)  # type: ignore[arg-type]
        except OSError:
            self._kill()
            raise KernelLost(DIED) from None
        return self._reply(seconds, complaint)

    def _reply(self, seconds: float, complaint: str) -> dict[str, Any]:
        """The next message. Raises KernelLost when the process ended, or used so much time."""
        assert self._line is not None
        used = TimeUsed(self._process)
        while not select.select([self._line], [], [], LOOK)[0]:
            if used.seconds() > seconds:
                self._kill()
                raise KernelLost(complaint)
        try:
            self._line.settimeout(max(seconds, 1.0))
            reply = json.loads(receive(self._line))
        except (OSError, ValueError, RecursionError, MemoryError):
            self._kill()
            raise KernelLost(DIED) from None
        if not isinstance(reply, dict):
            self._kill()
            raise KernelLost("what came back is no answer")
        return reply

    def _kill(self) -> None:
        """End the process and everything it started. (In the sandbox all ends with its first process.)"""
        line, self._line = self._line, None
        if line is not None:
            self._gone = self.used
            self._all = None
            for one in reversed(tree(self._process)):
                with contextlib.suppress(OSError):
                    os.kill(one, signal.SIGKILL)
            line.close()
        self._all = None
