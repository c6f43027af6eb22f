"""Judge many submissions: one examiner and one sandbox server live on, and each submission gets a fork of both."""

import json
import os
import socket
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posttrain_lab.grading.sandbox.fork_server import ForkServer, connect, receive, send
from posttrain_lab.grading.sandbox.sandboxed_kernel import Confinement
from posttrain_lab.grading.sandbox.view import copy_package, visible
from posttrain_lab.grading.session import Limits

EXAMINER = "posttrain_lab.grading.examiner"
PATIENCE = 4.0  # times the notebook's limit, by the clock on the wall: the limit itself counts processor time


@dataclass(frozen=True)
class Rules:
    """How a class is graded: in the sandbox or not, every cell or the needed ones, and the limits."""

    sandbox: bool = True
    all_cells: bool = False
    limits: Limits = field(default_factory=Limits)


class Examination:
    """The processes that judge a unit. `known` are the gradebook's cells by grade_id. Use it as a context manager."""

    def __init__(self, unit: str, known: dict[str, Any], rules: Rules):
        self.unit, self.known, self.rules = unit, known, rules
        self._folder = tempfile.TemporaryDirectory(prefix="posttrain-lab-view-", ignore_cleanup_errors=True)
        package = Path(self._folder.name)
        copy_package(package)
        self._worker = Confinement(package, tuple(visible(package)), rules.sandbox).server()
        self._examiner = ForkServer(EXAMINER, {**os.environ, "OMP_NUM_THREADS": "1"}, (unit,))
        self._starting = threading.Lock()

    def __enter__(self) -> "Examination":
        return self

    def __exit__(self, *_: Any) -> None:
        for server in (self._examiner, self._worker):
            server.__exit__()
        self._folder.cleanup()

    def judge(self, folder: Path) -> dict[str, Any]:
        """The examiner's answer for one submission; {fault: why} when it gave none."""
        with self._starting:  # a server that has ended is started again
            self._examiner.start()
            self._worker.start()
        question = {
            "folder": str(folder),
            "unit": self.unit,
            "known": self.known,
            "worker": self._worker.address,
            "all_cells": self.rules.all_cells,
            "limits": asdict(self.rules.limits),
        }
        try:
            line, _ = connect(self._examiner.address)
            with line:
                return _answered(line, question, PATIENCE * self.rules.limits.notebook)
        except (OSError, ValueError) as error:
            return {"fault": f"the examiner gave no answer ({type(error).__name__}: {error})"}


def _answered(line: socket.socket, question: dict[str, Any], seconds: float) -> dict[str, Any]:
    line.settimeout(seconds)
    send(line, question)
    answer = json.loads(receive(line))
    return answer if isinstance(answer, dict) else {"fault": "the examiner's answer is none"}
