"""A course with one unit of two exercises, small enough to be proven in a moment, and ways to break it."""

import shutil
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from posttrain_lab import checks, units
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.grading.course import Course, standard_check

UNIT = "90_tiny"
REPOSITORY = Path(__file__).resolve().parents[2]

SETUP = "import torch\nfrom torch import Tensor\n\nfrom posttrain_lab import checks\n\ntorch.set_num_threads(1)"
DOUBLE = 'def double(x: Tensor) -> Tensor:\n    """Twice x."""\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION'
SHIFT = (
    'def shift(x: Tensor, by: float) -> Tensor:\n    """x moved by `by`."""\n'
    "    ### BEGIN SOLUTION\n    return x + by\n    ### END SOLUTION"
)
ANSWERS_FILE = (
    "ALTERNATIVES = {'double': (lambda x: x + x,), 'shift': (lambda x, by: by + x,)}\n"
    "WRONG = {'double': (lambda x: 5 * x,), 'shift': (lambda x, by: x - 3 * by,)}\n"
)


def _cases(*extra: float) -> Callable[[int], Iterator[Case]]:
    def cases(seed: int) -> Iterator[Case]:
        yield Case("random numbers", (torch.randn(5, generator=torch.Generator().manual_seed(seed)), *extra))
        yield Case("one number", (torch.tensor(1.5 + seed), *extra))

    return cases


def double_exercise() -> Exercise:
    mistakes = (
        Mistake("half", "You halved x.", lambda x: x / 2),
        Mistake("square", "You squared x.", lambda x: x * x),
        Mistake("same", "You gave x back.", lambda x: x),
        Mistake("in_place", "You doubled the reader's own tensor.", lambda x: x.mul_(2)),
    )
    return Exercise(
        name="double", unit=UNIT, points=2, difficulty=1, minutes=5, oracle=lambda x: 2 * x, cases=_cases(), mistakes=mistakes
    )


def shift_exercise() -> Exercise:
    mistakes = (
        Mistake("minus", "You subtracted.", lambda x, by: x - by),
        Mistake("times", "You multiplied.", lambda x, by: x * by),
        Mistake("twice", "You moved it twice.", lambda x, by: x + 2 * by),
        Mistake("only", "You forgot x.", lambda x, by: torch.zeros_like(x) + by),
    )
    return Exercise(
        name="shift",
        unit=UNIT,
        points=3,
        difficulty=2,
        minutes=10,
        oracle=lambda x, by: x + by,
        cases=_cases(0.75),
        mistakes=mistakes,
    )


def solution_cell(grade_id: str, source: str) -> nbformat.NotebookNode:
    return _graded_cell(grade_id, source, solution=True, grade=False, locked=False)


def check_cell(exercise: str, points: float, source: str = "") -> nbformat.NotebookNode:
    source = source or standard_check("tiny", exercise, exercise)
    return _graded_cell(f"test_{exercise}", source, solution=False, grade=True, locked=True, points=points)


def _graded_cell(grade_id: str, source: str, **data: object) -> nbformat.NotebookNode:
    data = {"grade_id": grade_id, "schema_version": 3, "task": False, **data}
    return new_code_cell(source, id=grade_id, metadata={"nbgrader": data})


def tiny_cells() -> list[nbformat.NotebookNode]:
    """The unit as it should be; tests change one thing."""
    output = nbformat.v4.new_output("stream", name="stdout", text="double: right in all 12 trials.\n")
    cells = [
        new_markdown_cell("# 90 Tiny\n\nTwo functions.", id="title"),
        new_code_cell(SETUP, id="setup", metadata={"tags": ["setup"]}),
        solution_cell("double", DOUBLE),
        check_cell("double", 2),
        new_markdown_cell("And now the other.", id="text"),
        solution_cell("shift", SHIFT),
        check_cell("shift", 3),
    ]
    cells[3].outputs, cells[3].execution_count = [output], 3
    return cells


def write_unit(course: Course, cells: list[nbformat.NotebookNode], mistakes: str = ANSWERS_FILE) -> Path:
    folder = course.sources() / UNIT
    folder.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    nbformat.write(notebook, folder / f"{UNIT}.ipynb")
    (folder / f"{UNIT}.py").write_text("# the percent twin, with solutions", encoding="utf-8")
    for file in ("alternatives.py", "unnamed_mistakes.py"):
        (folder / file).write_text(mistakes, encoding="utf-8")
    (folder / "picture.svg").write_text("<svg/>", encoding="utf-8")
    return folder / f"{UNIT}.ipynb"


def make_course(folder: Path) -> Course:
    """A checkout with the repository's own nbgrader settings and the tiny unit."""
    course = Course(folder / "course", folder / "solutions")
    course.course.mkdir(parents=True)
    shutil.copy(REPOSITORY / "nbgrader_config.py", folder)
    write_unit(course, tiny_cells())
    return course


def register(monkeypatch: pytest.MonkeyPatch, *exercises: Exercise) -> None:
    """Let `checks.exercises(UNIT)` and `checks.tiny.<name>` know these exercises."""
    module = types.ModuleType("posttrain_lab.checks.tiny")
    module.EXERCISES = exercises or (double_exercise(), shift_exercise())  # type: ignore[attr-defined]
    for exercise in module.EXERCISES:
        setattr(module, exercise.name, exercise)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(checks, "tiny", module, raising=False)
    monkeypatch.setattr(checks, "UNITS", {UNIT: "tiny"})
    monkeypatch.setattr(units, "UNITS", (*units.UNITS, units.CourseUnit(UNIT, "tiny", "Tiny", "write two functions", reading=0)))


def with_mistakes(exercise: Exercise, *mistakes: Mistake) -> Exercise:
    return replace(exercise, mistakes=exercise.mistakes + mistakes)
