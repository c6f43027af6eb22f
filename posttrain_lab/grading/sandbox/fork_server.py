"""A process that has imported everything already, and forks itself once for each job: torch takes seconds to import, a fork milliseconds.

The server is a program of its own (it is exec'd, so it inherits no lock and no thread). Whoever connects to its socket, a file in a
folder that only its owner may open, talks to a new child. The server itself reads nothing that a child has written.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

LENGTH = struct.Struct("<Q")
LARGEST = 96 * 2**20  # bytes of one message
CHUNK = 2**20
START = 900.0  # seconds until a server must be ready
LAST_WORD = 2.0  # seconds for a server to end by itself


class LineClosed(OSError):
    """The other end is gone, or sent something that is no message."""


def send(line: socket.socket, message: Any) -> None:
    """One message: its length, then JSON."""
    raw = json.dumps(message).encode()
    line.sendall(LENGTH.pack(len(raw)) + raw)


def receive(line: socket.socket, largest: int = LARGEST, wait: Callable[[], None] = lambda: None) -> bytes:
    """The bytes of one message. Raises LineClosed when the other end is gone or announces more than `largest` bytes.

    `wait` is called before each read; it may return when there is something to read, or raise.
    """
    size = LENGTH.unpack(_exactly(line, LENGTH.size, wait))[0]
    if size > largest:
        raise LineClosed(f"a message of {size} bytes; {largest} are allowed")
    return _exactly(line, size, wait)


def _exactly(line: socket.socket, size: int, wait: Callable[[], None]) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        wait()
        part = line.recv(min(CHUNK, size - len(parts)))
        if not part:
            raise LineClosed("the other end was closed")
        parts += part
    return bytes(parts)


class ForkServer:
    """One server: `python -m MODULE SOCKET ...`, where the module calls `serve`. Use it as a context manager.

    Raises OSError when it does not start.
    """

    def __init__(self, module: str, env: dict[str, str] | None = None, arguments: tuple[str, ...] = ()):
        self.module, self.env, self.arguments = module, env, arguments
        self._folder = tempfile.TemporaryDirectory(prefix="posttrain-lab-", ignore_cleanup_errors=True)
        self.address = str(Path(self._folder.name) / "line")
        self._process: subprocess.Popen | None = None
        self.start()

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it is ready."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        Path(self.address).unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", self.module, self.address, *self.arguments]
        self._process = subprocess.Popen(
            command, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], START)[0] or not self._process.stdout.readline():
            self.stop()
            raise LineClosed(f"{self.module} did not start; what it says stands above")

    def stop(self) -> None:
        """End the server and its children; the server may count first what its children used."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST_WORD)
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def connect(address: str) -> tuple[socket.socket, int]:
    """A line to a new child of the server at this address, and the child's process id. Raises OSError when the server is gone."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(address)
        return line, json.loads(receive(line))["process"]
    except BaseException:
        line.close()
        raise


def serve(address: str, work: Callable[[socket.socket], None]) -> None:
    """Fork for everyone who connects, until it is terminated; `work(line)` runs in the child."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    gc.collect()
    gc.freeze()  # what is imported is never garbage: children need not look at it, which would copy its memory
    print("ready", flush=True)
    while not _left_alone(listener):
        line, _ = listener.accept()
        if not os.fork():
            listener.close()
            _in_child(line, work)
        line.close()
    os.killpg(0, signal.SIGKILL)


def _left_alone(listener: socket.socket) -> bool:
    """Wait for somebody who connects; true when the process that started this server has ended, however it did."""
    while True:
        try:
            ready = select.select([listener, sys.stdin], [], [], 1.0)[0]
        finally:
            _reap()
        if ready:
            return sys.stdin in ready


def _reap() -> None:
    """Wait for the children that have ended: no zombies stay, and their processor time counts as the server's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _in_child(line: socket.socket, work: Callable[[socket.socket], None]) -> None:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        send(line, {"process": os.getpid()})
        work(line)
    except BaseException as error:  # the child must never go on as a second server
        with contextlib.suppress(OSError):
            send(line, {"fault": f"{type(error).__name__}: {error}"[:500]})
    finally:
        os._exit(0)
