"""One Jupyter kernel for one student's notebook: run its cells, get values from it, and restart it when the code breaks it.

The kernel is this Python (`sys.executable`), in a folder that is not on its module path, with an IPython directory of
its own. After a cell or a call that ends the process or never returns, the kernel is restarted, and the cells that ran
well are run again. Limits count the processor time of the kernel's process, so that a busy machine takes nothing away; what
only waits ends after WALL times as much by the clock. Data from the kernel is not trusted: sizes are bounded, and nothing is
unpickled. The kernel is a process of the same user, not a sandbox of the operating system.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from posttrain_lab.checks.engine.time_limit import CALL, EXERCISE, WALL, call_too_long, too_long
from posttrain_lab.grading.outputs import Outputs
from posttrain_lab.grading.stopwatch import Stopwatch

OPTIONS = ("--InteractiveShellApp.ignore_cwd=True", "--HistoryManager.enabled=False")
DIED = "the notebook's Python process ended while it ran; look for os._exit, or for something too large for the memory"
HELPER = "__import__('posttrain_lab.grading.kernel_side', fromlist=['answer'])"
WARM_UP = f"{HELPER}.warm_up()"
MESSAGE_BYTES = 96 * 2**20
GRACE = 3.0  # seconds by the clock: for the last output after the reply, and for a reply after an interrupt
TICK = 250  # milliseconds between two looks at a kernel that says nothing


@dataclass(frozen=True)
class Limits:
    """Seconds of processor time for a cell, a call, an exercise and a whole notebook; to start a kernel; and how many restarts."""

    start: float = 120.0
    cell: float = 120.0
    call: float = CALL
    exercise: float = EXERCISE
    notebook: float = 900.0
    restarts: int = 12


class KernelLost(Exception):
    """The code ended or blocked the kernel; the message is part of a sentence for the student, `outputs` are the cell's outputs."""

    outputs: list[NotebookNode]


class GraderFault(RuntimeError):
    """No verdict is possible, and the student's code is not the cause: no kernel starts, or a check itself is wrong."""


class _ThisPython(KernelSpecManager):
    """The graded code runs under the Python that grades, and not in another kernel of this machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}", *OPTIONS]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


class StudentKernel:
    """A kernel that is started when first needed, and restarted when the code has ended it. Use it as a context manager."""

    def __init__(self, folder: Path, limits: Limits | None = None):
        self.folder, self.limits = folder, limits or Limits()
        self.starts = 0
        self.used = 0.0  # seconds of processor time of all cells and calls
        self._began = monotonic()
        self._good_cells: list[str] = []
        self._manager: KernelManager | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "StudentKernel":
        return self

    def __exit__(self, *_: Any) -> None:
        self._kill()

    def run(self, source: str, keep: bool = True) -> list[NotebookNode]:
        """The cell's outputs, as nbformat writes them. `keep`: run it again after a restart.

        Raises KernelLost when the cell ended the kernel or did not end in time.
        """
        self._ready()
        outputs = Outputs()
        try:
            self._execute(source, outputs)
        except KernelLost as lost:
            lost.outputs = outputs.nodes
            raise
        if keep:
            self._good_cells.append(source)
        return outputs.nodes

    def ask(self, expression: str, left: float = math.inf) -> str:
        """The repr of an expression's value in the kernel. Raises KernelLost; ValueError when no text was received.

        `left`: of the exercise's processor time; this call may use no more of it.
        """
        self._ready()
        most = self.limits.call
        request = {"silent": True, "store_history": False, "user_expressions": {"answer": expression}}
        watch = self._watch(min(most, left), WALL * most)
        reply = self._wait(self._send("", **request), watch, None, partial(call_too_long, most, self.limits.exercise, left))
        try:
            text = reply["content"]["user_expressions"]["answer"]["data"]["text/plain"]
        except (KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise ValueError("no text came back")
        return text

    def answer(self, asked: tuple[str, ...], left: float) -> str:
        """The text that `kernel_side.answer(*asked)` gives in the kernel, its quotes included. Raises as `ask` does."""
        return self.ask(f"{HELPER}.answer({', '.join(map(repr, asked))})", left)

    def answers(self, asked: Sequence[tuple[str, ...]], left: float) -> list[str]:
        """The texts of several; here they are asked one by one."""
        return [self.answer(one, left) for one in asked]

    def _ready(self) -> None:
        """A running kernel in which all successful cells have run."""
        if self.used > self.limits.notebook or monotonic() - self._began > WALL * self.limits.notebook:
            self._kill()
            raise KernelLost(f"the notebook used all of its {self.limits.notebook:g} seconds before this")
        if self._manager is not None and self._manager.is_alive():
            return
        while True:
            if self.starts > self.limits.restarts:
                raise KernelLost(f"the notebook ended or blocked its Python process {self.starts} times before this")
            self._kill()
            self._start()
            if self._replayed():
                return

    def _replayed(self) -> bool:
        for source in list(self._good_cells):
            try:
                self._execute(source, Outputs())
            except KernelLost:
                self._good_cells.remove(source)
                if self._manager is None or not self._manager.is_alive():
                    return False
        return True

    def _start(self) -> None:
        self.starts += 1
        scratch = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        manager = KernelManager(kernel_spec_manager=_ThisPython(), connection_file=str(Path(scratch) / "kernel.json"))
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        env = {**os.environ, **threads, "PYTHONSAFEPATH": "1", "IPYTHONDIR": scratch, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        try:
            manager.start_kernel(cwd=str(self.folder), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self._manager = manager
            self._group = getattr(manager.provisioner, "pgid", None)
            self._connect(manager)
            self._client.wait_for_ready(timeout=self.limits.start)
            self._execute(WARM_UP, Outputs(), self.limits.start)
        except (RuntimeError, OSError, KernelLost) as error:
            self._kill()
            raise GraderFault(f"The kernel could not be started: {error}; run `posttrain-lab doctor`.") from error

    def _connect(self, manager: KernelManager) -> None:
        context = zmq.Context()
        self._stack.callback(context.destroy, linger=0)
        context.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES)
        context.setsockopt(zmq.RCVHWM, 100)
        self._client = manager.client(context=context)
        self._client.start_channels(stdin=False, hb=False, control=False)
        self._stack.callback(self._client.stop_channels)

    def _kill(self) -> None:
        """End the kernel and the processes it started in its own process group; close everything."""
        manager, self._manager = self._manager, None
        if manager is not None:
            with contextlib.suppress(Exception):
                manager.shutdown_kernel(now=True)
            if self._group and hasattr(os, "killpg"):
                with contextlib.suppress(OSError):
                    os.killpg(self._group, signal.SIGKILL)
        self._stack.close()

    def _send(self, source: str, **options: Any) -> str:
        return self._client.execute(source, allow_stdin=False, stop_on_error=False, **options)

    def _watch(self, processor: float, clock: float) -> Stopwatch:
        provisioner = self._manager and self._manager.provisioner
        return Stopwatch(getattr(provisioner, "pid", None), processor, clock)

    def _execute(self, source: str, outputs: Outputs, seconds: float | None = None) -> None:
        most = seconds or self.limits.cell
        watch = self._watch(most, WALL * most)
        self._wait(self._send(source), watch, outputs, partial(too_long, "the cell did not end", most))

    def _wait(self, request: str, watch: Stopwatch, outputs: Outputs | None, sentence: Callable[[bool], str]) -> dict[str, Any]:
        """The reply to a request; its outputs go to `outputs`. When time is up: interrupt, and if that does not help, kill."""
        try:
            reply = self._listen(request, watch, outputs)
        finally:
            self.used += watch.used()
        if reply is not None:
            return reply
        if self._manager is not None:
            self._manager.interrupt_kernel()
        if self._listen(request, Stopwatch(None, math.inf, GRACE), outputs) is None:
            self._kill()
        raise KernelLost(sentence(watch.waited))

    def _listen(self, request: str, watch: Stopwatch, outputs: Outputs | None) -> dict[str, Any] | None:
        """Read both sockets until the reply (and, for a cell, its last output) has arrived; None when time is up."""
        shell, iopub = self._client.shell_channel, self._client.iopub_channel
        poller = zmq.Poller()
        for channel in (shell, iopub):
            poller.register(channel.socket, zmq.POLLIN)
        reply, idle = None, outputs is None
        while (reply is None or not idle) and not watch.over():
            ready = dict(poller.poll(TICK))
            if not ready and not (self._manager and self._manager.is_alive()):
                self._kill()
                raise KernelLost(DIED)
            if iopub.socket in ready and (message := _received(iopub, request)) and outputs is not None:
                idle = outputs.take(message) or idle
            if shell.socket in ready and (message := _received(shell, request)):
                reply, watch = message, Stopwatch(None, math.inf, GRACE)
        return reply


def _received(channel: Any, request: str) -> dict[str, Any] | None:
    """One message if it can be read and belongs to the request; all others are dropped."""
    try:
        message = channel.get_msg(timeout=0)
        return message if message["parent_header"]["msg_id"] == request else None
    except Exception:  # bad signature, damaged JSON, missing fields: the kernel may send anything
        return None
