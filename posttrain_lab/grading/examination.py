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
from posttrain_lab.grading.sandbox.view import copy_package, hidden, visible
from posttrain_lab.grading.session import Limits

EXAMINER = "posttrain_lab.grading.examiner"
SEEDS = "POSTTRAIN_LAB_SEEDS"
PATIENCE = 4.0  # times the notebook's limit, by the clock on the wall: the limit itself counts processor time


@dataclass(frozen=True)
class GradingRules:
    """How a class is graded: in the sandbox or not, every cell or the needed ones, the limits, and the secret seeds of its submissions."""

    sandbox: bool = True
    all_cells: bool = False
    limits: Limits = field(default_factory=Limits)
    seeds: tuple[int, ...] = ()


class Examination:
    """The processes that judge a unit of the course in `root`. `known` are the gradebook's cells by grade_id. Use it as a context manager."""

    def __init__(self, root: Path, unit: str, known: dict[str, Any], rules: GradingRules):
        self.unit, self.known, self.rules = unit, known, rules
        self._folder = tempfile.TemporaryDirectory(prefix="posttrain-lab-view-", ignore_cleanup_errors=True)
        package = Path(self._folder.name)
        copy_package(package)
        shown = visible(package)
        self._worker = Confinement(package, tuple(shown), tuple(hidden(root, shown)), rules.sandbox).server()
        secret = {SEEDS: " ".join(str(seed) for seed in rules.seeds)}  # not an argument, which other users see
        self._examiner = ForkServer(EXAMINER, {**os.environ, "OMP_NUM_THREADS": "1", **secret}, (unit,))
        self._starting = threading.Lock()
        self.stopped = False

    def __enter__(self) -> "Examination":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        for server in (self._examiner, self._worker):
            server.__exit__()
        self._folder.cleanup()

    def stop(self) -> None:
        """End the processes, in the middle of what they do; they are not started again."""
        with self._starting:
            self.stopped = True
            self._examiner.stop()
            self._worker.stop()

    def judge(self, folder: Path, seed: int, alone: bool = False, token: str = "") -> dict[str, Any]:
        """The examiner's answer for one submission, with the cases of this seed too, or `alone`; {fault: why} when it gave none.

        token: of the student's sheet, in unit 11.
        """
        with self._starting:  # a server that has ended is started again
            if self.stopped:
                return {"fault": "the run was ended"}
            self._examiner.start()
            self._worker.start()
        question = {
            "folder": str(folder),
            "unit": self.unit,
            "seed": seed,
            "alone": alone,
            "token": token,
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
