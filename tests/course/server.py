"""A real JupyterLab on a folder, as `posttrain-lab start` starts it, and Jupyter's own REST API of it."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import nbformat
from nbformat.sign import NotebookNotary

from posttrain_lab.kernels.cpu.jit_cache import NOTES

START = 120.0  # seconds that a server or a kernel may need to answer at first
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address with the token, the folder that it shows, where it keeps its kernels' files.

    Beside that folder lies the one with what it signed.
    """

    address: str
    folder: Path
    runtime: Path

    def request(self, method: str, path: str, content: Any = None) -> Any:
        """One call of Jupyter's own REST API."""
        parts = urlsplit(self.address)
        headers = {"Authorization": f"token {parse_qs(parts.query)['token'][0]}", "Content-Type": "application/json"}
        data = None if content is None else json.dumps(content).encode()
        asked = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/api/{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=START) as reply:
            return json.loads(reply.read() or b"null")

    def trust(self, path: str) -> None:
        """Sign a notebook as its reader's own work, as the server does where each cell was run: else a page shows no widgets."""
        book = nbformat.from_dict(self.request("GET", f"contents/{path}")["content"])
        for cell in book.cells:
            cell.metadata.pop("trusted", None)
        NotebookNotary(data_dir=str(self.runtime.with_name("jupyter_data_dir"))).sign(book)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def start_lab(folder: Path, scratch: Path, own_settings: bool = False) -> Iterator[Lab]:
    """`posttrain-lab start` on this folder, on one thread. Every cell is kept on the page unless `own_settings`."""
    overrides = scratch / "config" / "labconfig"
    overrides.mkdir(parents=True)
    (overrides / "default_setting_overrides.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    env = {**os.environ, **{name: str(scratch / name.lower()) for name in names}, **threads, NOTES: ""}
    env["JUPYTER_CONFIG_PATH"] = "" if own_settings else str(scratch / "config")
    command = [
        sys.executable,
        "-m",
        "posttrain_lab",
        "start",
        "--no-browser",
        "--folder",
        str(folder),
        "--port",
        str(free_port()),
    ]
    with running(command, env, scratch / "lab.log") as address:
        yield Lab(address, folder, scratch / "jupyter_runtime_dir")


@contextlib.contextmanager
def running(command: list[str], env: dict[str, str], log: Path, folder: Path | None = None) -> Iterator[str]:
    """The address, with its token, of the server that this command starts in `folder`; ended with the context."""
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def _address(process: subprocess.Popen, log: Path) -> str:
    """The address in the log, as soon as the server answers there."""
    for _ in range(600):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            break
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", log.read_text(encoding="utf-8", errors="replace")):
            with contextlib.suppress(OSError), urllib.request.urlopen(found[0], timeout=10):
                return found[0]
    raise AssertionError("Jupyter did not start:\n" + log.read_text(encoding="utf-8", errors="replace"))
