"""Run something in a child process with a limit of processor time: what hangs, crashes or changes the machine ends with the child."""

import json
import os
import resource
import select
import signal
from collections.abc import Callable
from typing import Any

WALL = 10  # times the limit: while a child waits, or the machine is busy, its processor time does not pass


class NoAnswer(RuntimeError):
    """The child gave no result: it was killed, or its time was over."""


def forked(work: Callable[[], Any], seconds: float) -> Any:
    """What `work` returns (anything that JSON holds), computed in a child that may use this much processor time. Raises NoAnswer.

    Where processes cannot be forked (Windows), run the proof on another machine.

    >>> forked(lambda: 1 + 1, 5.0)
    2
    """
    if not hasattr(os, "fork"):
        raise RuntimeError("This proof forks processes, which Windows cannot do; run it on Linux or macOS.")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        _in_child(work, seconds, write)
    os.close(write)
    try:
        return _received(read, seconds)
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _in_child(work: Callable[[], Any], seconds: float, write: int) -> None:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        os.write(write, json.dumps(work()).encode())
        code = 0
    finally:
        os._exit(code)  # without the parent's clean-up


def _received(read: int, seconds: float) -> Any:
    parts: list[bytes] = []
    while select.select([read], [], [], WALL * seconds)[0]:
        part = os.read(read, 65536)
        if not part:
            break
        parts.append(part)
    if not parts:
        raise NoAnswer(f"no verdict within {seconds:g} seconds of processor time")
    return json.loads(b"".join(parts))
