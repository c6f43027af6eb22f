"""Check a learner's own notebook, without opening it: `posttrain-lab check UNIT`.

The setup cell, the solution cells and the cells in which the learner defines something run in a kernel; figures,
widgets and text do not. Each exercise is checked at the position of its check cell, with all the cases that nbgrader
would use.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Exercise, Verdict
from posttrain_lab.grading.course import CHECK_PREFIX, CourseError, read_notebook
from posttrain_lab.grading.kernel import check_in_kernel
from posttrain_lab.grading.outputs import first_error
from posttrain_lab.grading.session import KernelLost, Limits, StudentKernel

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def check_notebook(
    path: Path, unit: str, progress: Callable[[Verdict], None] | None = None, limits: Limits | None = None
) -> list[Verdict]:
    """Which exercises of a unit does this notebook solve? A verdict for each, in the unit's order; `progress` is called with each.

    Raises ValueError for an unknown unit, CourseError (a ValueError) for a file that is missing, damaged or of another unit,
    GraderFault when no kernel starts.
    """
    exercises = checks.exercises(unit)
    notebook = read_notebook(path)
    if not any(_grade_id(cell).removeprefix(CHECK_PREFIX) in exercises for cell in notebook.cells):
        raise CourseError(f"{path.name} has no exercise of {unit}; check the name of the unit or run `posttrain-lab start`.")
    found: dict[str, Verdict] = {}
    with StudentKernel(path.parent.resolve(), limits) as kernel:
        for exercise, error in _in_order(notebook, exercises, kernel):
            if exercise.name not in found:
                found[exercise.name] = check_in_kernel(exercise, kernel, error)
                if progress is not None:
                    progress(found[exercise.name])
    return [found[name] for name in exercises]


def _in_order(notebook: NotebookNode, exercises: dict[str, Exercise], kernel: StudentKernel) -> Iterator[tuple[Exercise, str]]:
    """Run the needed cells; give each exercise, with the error of its cell, at its check cell; all again at the end."""
    checked = {CHECK_PREFIX + name: exercise for name, exercise in exercises.items()}
    errors: dict[str, str] = {}
    for cell in notebook.cells:
        grade_id = _grade_id(cell)
        if cell.cell_type == "code" and grade_id in checked:
            exercise = checked[grade_id]
            yield exercise, errors.get(exercise.name, "")
        elif cell.cell_type == "code" and is_needed(cell):
            errors[grade_id] = _run(kernel, cell.source)
    for exercise in exercises.values():
        yield exercise, errors.get(exercise.name, "")


def _grade_id(cell: NotebookNode) -> str:
    data = cell.metadata.get("nbgrader")
    grade_id: Any = data.get("grade_id") if isinstance(data, dict) else None
    return grade_id if isinstance(grade_id, str) else ""


def is_needed(cell: NotebookNode) -> bool:
    """Do the exercises need this code cell: the setup, a solution, or a cell in which the learner defines something?

    >>> from nbformat.v4 import new_code_cell
    >>> is_needed(new_code_cell("def helper(x):\\n    return x")), is_needed(new_code_cell("plots.histogram(x)"))
    (True, False)
    """
    tags = cell.metadata.get("tags", [])
    if "setup" in tags or (_grade_id(cell) and not cell.metadata["nbgrader"].get("grade")):
        return True
    if tags or _grade_id(cell):
        return False
    try:
        return any(isinstance(node, DEFINITIONS) for node in ast.parse(cell.source).body)
    except (SyntaxError, ValueError):  # a magic command, or an unfinished cell
        return False


def _run(kernel: StudentKernel, source: str) -> str:
    """Run a cell; its error in a few words, or an empty text."""
    try:
        return first_error(kernel.run(source))
    except KernelLost as lost:
        return str(lost)
