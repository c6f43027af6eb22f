"""Grade the small unit of the course in the current folder, and end by kill -9 at a given step: `python ended_run.py STEP NUMBER WHEN`.

STEP is a function, which is killed `before` or `after` its call of that number; `none` ends nothing. What the examiner would do is done
here at once: the check cells of the submitted notebook get their outputs by what the solution says. Prints the rows as JSON, and every
judged student to judged.txt.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_output
from nbgrader.utils import is_grade
from small_unit import UNIT, register

from posttrain_lab.grading import classroom, gradebook, jobs, save_at_once
from posttrain_lab.grading.outputs import error_output

STEPS = {
    "put": (jobs.Jobs, "put"),
    "save": (gradebook.CourseGradebook, "save"),
    "cell": (save_at_once.SaveAtOnce, "preprocess_cell"),
    "feedback": (gradebook.CourseGradebook, "feedback"),
    "export": (gradebook.CourseGradebook, "export"),
}


class AtOnce:
    """In place of an Examination: right is whose cell does not raise NotImplementedError."""

    def __init__(self, root: Path, unit: str, known: Any, rules: Any):
        self.known, self.rules, self.stopped = known, rules, False

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    def judge(self, folder: Path, seed: int, alone: bool = False, token: str = "") -> dict[str, Any]:
        assert alone is (folder.parent.parent.name != "submitted"), "a seed is tried by its own cases only, an answer by all"
        if folder.parent.parent.name != "submitted":
            Path("own.txt").write_text(str(seed))  # the course's own notebook, before a seed is used
            return {}
        with Path("judged.txt").open("a") as file:
            file.write(f"{folder.parent.name} {seed}\n")
        book = nbformat.read(folder / f"{UNIT}.ipynb", as_version=4)
        blank = False
        for cell in book.cells:
            if is_grade(cell) and cell.cell_type == "code":  # a paragraph waits for a person
                name = cell.metadata.nbgrader.grade_id.removeprefix("test_")
                wrong = error_output("CheckFailed", f"{name}: this cell is empty.")
                cell.outputs = [wrong if blank else new_output("stream", name="stdout", text=f"{name}: right.\n")]
            blank = "NotImplementedError" in cell.source
        return {"notebook": nbformat.v4.writes(book), "verdicts": [], "remarks": []}


def end_at(step: str, number: int, when: str, patch: pytest.MonkeyPatch) -> None:
    owner, name = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, 10**6))

    def counted(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == number
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    patch.setattr(owner, name, counted)


def graded(**order: Any) -> list[dict[str, Any]]:
    """The rows of a run in this process, by AtOnce."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        patch.setattr(classroom, "Examination", AtOnce)
        return [asdict(row) for row in classroom.grade(UNIT, Path.cwd(), classroom.Order(**order)).rows]


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        if sys.argv[1] != "none":
            end_at(sys.argv[1], int(sys.argv[2]), sys.argv[3], patch)
        print(json.dumps(graded(sandbox=False)))
