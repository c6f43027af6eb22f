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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from nbformat import NotebookNode

from posttrain_lab.checks.engine.time_limit import CALLED, USED, WALL, too_long
from posttrain_lab.grading.outputs import Outputs
from posttrain_lab.grading.sandbox.control_group import ControlGroup
from posttrain_lab.grading.sandbox.fork_server import ForkServer, connect, receive, send
from posttrain_lab.grading.sandbox.rights import Room
from posttrain_lab.grading.sandbox.time_used import Used, tree
from posttrain_lab.grading.session import DIED, GraderFault, KernelLost, Limits

MODULE = "posttrain_lab.grading.sandbox.worker"
LOOK = 0.1  # seconds between two looks at what is used
PATIENCE = 20  # a reply may take so many times its limit by the clock: only what hides its processor time, or a very busy machine, needs more
GRACE = 60.0  # seconds
STUCK = 60.0  # seconds in which a question must be taken
MEMORY = 6 * 2**30  # bytes of all processes of a submission together
TOO_MUCH = f"the notebook used more than {MEMORY // 2**30} GB of memory"
CELL = "the cell did not end"
Sentence = Callable[[bool], str]  # of the limit that was met; it is told whether the code slept


@dataclass(frozen=True)
class Confinement:
    """How the worker runs: the folder of the package that it sees, the paths that the sandbox shows and hides, and what it may use."""

    package: Path
    visible: tuple[Path, ...]
    hidden: tuple[Path, ...] = ()
    confined: bool = True
    room: Room = field(default_factory=Room)

    def server(self) -> ForkServer:
        """The fork server for submissions; it is ready when this returns."""
        paths = {"visible": [str(path) for path in self.visible], "hidden": [str(path) for path in self.hidden]}
        settings = {**paths, "confined": self.confined, "room": asdict(self.room)}
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "OPENBLAS_CORETYPE") if key in os.environ}
        env = {**kept, "PYTHONPATH": str(self.package), "OMP_NUM_THREADS": "1", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {"MPLBACKEND": "agg", "NUMBA_CACHE_DIR": "/tmp/numba"}
        return ForkServer(MODULE, env, (json.dumps(settings),))


class SandboxedKernel:
    """One submission: `run` its cells, `ask` for values. `address` is that of the worker's server; `files` are base64 texts by path."""

    def __init__(self, address: str, files: dict[str, str] | None = None, limits: Limits | None = None):
        self.address, self.files, self.limits = address, files or {}, limits or Limits()
        self.starts, self._one_by_one = 0, False
        self._gone = 0.0  # seconds used by processes that are gone
        self._good_cells: list[str] = []
        self._line: socket.socket | None = None
        self._process, self._waited_for = 0, False
        self._now: Used | None = None
        self._group: ControlGroup | None = None

    @property
    def used(self) -> float:
        """Seconds that the submission has used: processor time, and time asleep while it was asked."""
        return self._gone + (self._now.seconds if self._now else 0.0)

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
        return self._text({"ask": expression}, left)

    def answer(self, asked: tuple[str, ...], left: float) -> str:
        """The text that `kernel_side.answer(*asked)` gives in the sandbox. Raises as `ask` does."""
        return self._text({"answer": asked}, left)

    def answers(self, asked: Sequence[tuple[str, ...]], left: float) -> list[str]:
        """The texts of several, in one message each way, within the limit of one call. Raises KernelLost, and ValueError for no texts.

        A submission that was lost in it is not asked so again: each time would cost one of its restarts.
        """
        if self._one_by_one:
            raise ValueError("an earlier one was lost")
        self._ready()
        try:
            texts = self._asked({"answers": asked}, min(self.limits.call, left), partial(_used_up, CALLED, left)).get("texts")
        except KernelLost:
            self._one_by_one = True
            raise
        if not isinstance(texts, list) or len(texts) != len(asked) or not all(isinstance(text, str) for text in texts):
            raise ValueError("no texts came back")
        return texts

    def _text(self, message: dict[str, Any], left: float) -> str:
        self._ready()
        most = self.limits.call
        used_up = partial(_used_up, CALLED, most) if most <= left else lambda slept: USED.format(seconds=self.limits.exercise)
        text = self._asked(message, min(most, left), used_up).get("text")
        if not isinstance(text, str) or not text:
            raise ValueError("no text came back")
        return text

    def _cell(self, source: str) -> list[NotebookNode]:
        reply, outputs = self._asked({"cell": source}, self.limits.cell, partial(_used_up, CELL, self.limits.cell)), Outputs()
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
            self._now = Used(self._process)
            hello = self._reply(self.limits.start, lambda slept: "it did not start")
        except (OSError, KernelLost) as error:
            self._kill()
            raise GraderFault(f"The sandbox could not be started: {error}; run `posttrain-lab doctor`.") from error
        self._waited_for = bool(hello.get("confined"))
        if not hello.get("ready"):
            self._kill()
            raise GraderFault(f"The sandbox could not be entered: {hello.get('fault')}; run `posttrain-lab doctor`.")
        self._group = ControlGroup(MEMORY)
        self._group.take(tree(self._process))  # no code of the submission has run yet
        if self.files:
            self._asked({"files": self.files}, self.limits.start, lambda slept: "its files were not written")

    def _replay(self) -> None:
        for source in list(self._good_cells):
            try:
                self._cell(source)
            except KernelLost:
                self._good_cells.remove(source)
                return

    def _asked(self, message: dict[str, Any], seconds: float, used_up: Sentence) -> dict[str, Any]:
        try:
            self._line.settimeout(STUCK)  # type: ignore[union-attr]
            send(self._line, message)  # type: ignore[arg-type]
        except OSError:
            self._kill()
            raise KernelLost(DIED) from None
        return self._reply(seconds, used_up)

    def _reply(self, seconds: float, used_up: Sentence) -> dict[str, Any]:
        """The next message. Raises KernelLost when the process ended, or used so much time or memory; then it is ended."""
        line, now = self._line, self._now
        if line is None or now is None:
            raise KernelLost(DIED)
        wait = partial(_wait, line, now, (seconds + now.seconds, PATIENCE * seconds + monotonic() + GRACE), used_up)
        try:
            now.begin()
            reply = json.loads(receive(line, wait=wait))
            now.finish()
        except KernelLost:
            self._kill()
            raise
        except (OSError, ValueError, RecursionError, MemoryError):
            reason = TOO_MUCH if self._group and self._group.ran_out else DIED
            self._kill()
            raise KernelLost(reason) from None
        if not isinstance(reply, dict):
            self._kill()
            raise KernelLost("what came back is no answer")
        return reply

    def _kill(self) -> None:
        """End the process and everything it started: in the sandbox all ends with its first process, the second of the tree."""
        line, self._line = self._line, None
        if line is not None:
            if self._now is not None:
                self._now.finish(0.0)
            self._gone, self._now = self.used, None
            first = 1 if self._waited_for else 0  # in the sandbox the first one only waits for the second, and then ends
            for one in reversed(tree(self._process)[first:]):
                with contextlib.suppress(OSError):
                    os.kill(one, signal.SIGKILL)
            line.close()
        if self._group is not None:
            self._group.close()
            self._group = None


def _wait(line: socket.socket, now: Used, most: tuple[float, float], used_up: Sentence) -> None:
    """Return when there is something to read. Raises KernelLost when the time is used up: the process's own, or that of a patient clock."""
    while not select.select([line], [], [], LOOK)[0]:
        slept = now.slept
        now.look()
        if now.seconds > most[0] or monotonic() > most[1]:
            raise KernelLost(used_up(now.slept > slept))
        if now.memory > MEMORY:
            raise KernelLost(TOO_MUCH)


def _used_up(what: str, seconds: float, slept: bool) -> str:
    """The sentence about the limit; it says which one."""
    return too_long(what, seconds / WALL if slept else seconds, slept)
