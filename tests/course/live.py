"""Run a notebook in a kernel of a real JupyterLab, with no window open, and look at what the kernel took.

The kernel stays alive: a window that is opened on the notebook afterwards finds it and every widget in it.
"""

import ast
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from nbformat import NotebookNode

from posttrain_lab.grading.course import setup_sources
from posttrain_lab.grading.outputs import Outputs
from tests.course.server import START, Lab

CELL = 300.0  # seconds that a cell may take


@dataclass(frozen=True)
class Run:
    """One run of a notebook: its cells with their new outputs, the kernel's processor time and peak memory, wall time."""

    book: NotebookNode
    session: str
    seconds: float
    imports_mb: float
    peak_mb: float
    wall: float


def run_notebook(lab: Lab, book: NotebookNode, path: str) -> Run:
    """Run every code cell in a new kernel and write the notebook with its outputs to `path` of the lab's folder.

    The imports of the setup cell run first, alone: what the kernel holds then is what the imports take.
    """
    target = lab.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(book, target)
    start = time.perf_counter()
    session = lab.request("POST", "sessions", {"path": path, "name": "", "type": "notebook", "kernel": {"name": "python3"}})
    client = BlockingKernelClient(connection_file=str(lab.runtime / f"kernel-{session['kernel']['id']}.json"))
    client.load_connection_file()
    client.start_channels(stdin=False, hb=False, control=False)
    try:
        client.wait_for_ready(timeout=START)
        process = psutil.Process(int(_printed(client, "import os; print(os.getpid())")))
        for source in setup_sources(book):
            _printed(client, import_lines(source))
        imports = _peak(process)
        done = _executed(client, book)
        times = process.cpu_times()
        _write(done, target)
        lab.trust(path)
        wall = time.perf_counter() - start
        return Run(done, session["id"], times.user + times.system, imports / 1e6, _peak(process) / 1e6, wall)
    finally:
        client.stop_channels()


def _executed(client: BlockingKernelClient, book: NotebookNode) -> NotebookNode:
    done = nbformat.from_dict(json.loads(json.dumps(book)))
    number = 0
    for cell in done.cells:
        if cell.cell_type == "code" and cell.source.strip():
            number += 1
            cell.execution_count, cell.outputs = number, _run(client, cell.source)
    return done


def _write(book: NotebookNode, target: Path) -> None:
    """Without a percent twin for jupytext to look for."""
    book = nbformat.from_dict(json.loads(json.dumps(book)))
    book.metadata.pop("jupytext", None)
    nbformat.write(book, target)


def _run(client: BlockingKernelClient, source: str, **options: Any) -> list[NotebookNode]:
    """A cell's outputs. Raises queue.Empty when it does not end in time."""
    outputs, request = Outputs(), client.execute(source, allow_stdin=False, stop_on_error=False, **options)
    client.get_shell_msg(timeout=CELL)
    while True:
        message = client.get_iopub_msg(timeout=START)
        if message["parent_header"].get("msg_id") == request and outputs.take(message):
            return outputs.nodes


def _printed(client: BlockingKernelClient, source: str) -> str:
    """What code prints that is no cell of the notebook."""
    outputs = _run(client, source, store_history=False)
    assert all(output.output_type == "stream" and output.name == "stdout" for output in outputs), outputs
    return "".join(output.text for output in outputs)


def import_lines(setup: str) -> str:
    """Only the imports of a setup cell, and what a later import waits for: unit 06 asks for the device before it imports triton.

    >>> import_lines("import math\\nx = 1\\nfrom os import path")
    'import math\\nx = 1\\nfrom os import path'
    >>> import_lines("import math\\nx = 1")
    'import math'
    """
    nodes = ast.parse(setup).body
    last = max((place for place, node in enumerate(nodes) if isinstance(node, ast.Import | ast.ImportFrom)), default=-1)
    return "\n".join(ast.unparse(node) for node in nodes[: last + 1])


def _peak(process: psutil.Process) -> float:
    """The largest resident memory so far in bytes where the system keeps it (Linux, Windows), else the present one."""
    status = Path(f"/proc/{process.pid}/status")
    if status.is_file():
        found = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        return 1024.0 * int(found[0].split()[1]) if found else 0.0
    memory = process.memory_info()
    return float(getattr(memory, "peak_wset", memory.rss))
