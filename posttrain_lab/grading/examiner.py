"""The program that judges: a fork server whose children read one submission each, run it in the sandbox, and give the verdicts.

`python -m posttrain_lab.grading.examiner SOCKET UNIT`, with the secret seeds in the environment. The server asks the oracles and writes
the questions once, so its children need not. A child decodes what students wrote; it has limits of its own, ends after one submission,
and touches neither the gradebook nor another's files.
"""

import posttrain_lab.grading.sooner  # noqa: F401

# isort: split
import json
import os
import resource
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import torch

from posttrain_lab.checks.engine.diagnosis import known_outcomes
from posttrain_lab.checks.engine.exercise import HIDDEN_SEEDS, VISIBLE_SEEDS
from posttrain_lab.grading import flags
from posttrain_lab.grading.examination import SEEDS
from posttrain_lab.grading.intake import HandedIn, NeedsAttention, read_submission
from posttrain_lab.grading.judge_notebook import graded_exercises, judge_notebook
from posttrain_lab.grading.questions import write_before
from posttrain_lab.grading.releases import other_release, remark
from posttrain_lab.grading.sandbox.fork_server import receive, send, serve
from posttrain_lab.grading.sandbox.sandboxed_kernel import SandboxedKernel
from posttrain_lab.grading.sanitize import each_once
from posttrain_lab.grading.session import GraderFault, Limits

MEMORY = 4 * 2**30  # bytes more than the server has


def main() -> None:
    """Ask the oracles and write the questions, then fork for each submission."""
    torch.set_num_threads(1)
    secret = tuple(int(seed) for seed in os.environ.pop(SEEDS, "").split())
    for exercise in graded_exercises(sys.argv[2]).values():
        known = known_outcomes(exercise)
        for seed in VISIBLE_SEEDS + HIDDEN_SEEDS + secret:
            write_before([case for case, _ in known.wanted(seed)])
            for law in exercise.laws:
                known.notes(law, seed)
    serve(sys.argv[1], examine)


def examine(line: socket.socket) -> None:
    """Answer one question: {folder, unit, seed, alone, token, known, worker, all_cells, limits}.

    The answer is {notebook, verdicts, remarks}, {attention} or {fault}.
    """
    asked = json.loads(receive(line))
    most = _size_now() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        send(line, _judged(read_submission(Path(asked["folder"]), asked["unit"]), asked))
    except NeedsAttention as reason:
        send(line, {"attention": str(reason)})
    except MemoryError:
        send(line, {"attention": "reading it took too much memory; look into the notebook."})
    except GraderFault as fault:
        send(line, {"fault": str(fault)})


def _judged(submission: HandedIn, asked: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {name: nbformat.from_dict(cell) for name, cell in asked["known"].items()}
    notebook, remarks = submission.notebook, list(submission.remarks)
    if text := remark(other_release(notebook.cells, known)):
        remarks.append(text)
    notebook.cells = each_once(notebook.cells, known, remarks.append)
    remarks += flags.remarks(notebook.cells)
    with SandboxedKernel(asked["worker"], submission.files, Limits(**asked["limits"])) as kernel:
        seeds = (() if asked["alone"] else VISIBLE_SEEDS + HIDDEN_SEEDS) + (asked["seed"],)
        verdicts = judge_notebook(notebook, asked["unit"], kernel, asked["all_cells"], seeds=seeds, token=asked["token"])
    return {
        "notebook": nbformat.v4.writes(notebook),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "remarks": remarks,
    }


def _size_now() -> int:
    """Bytes of address space of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
