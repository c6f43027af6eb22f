"""The course's own units: their solutions get full marks and an untouched student's notebook none, by both ways to grade.

nbgrader grades both notebooks of each unit in kernels. `check_notebook` asks the same functions the same questions when its kernel
runs the same cells and each exercise is checked at the same place. So only the first unit goes through its kernels as well, and
for the others what it asks its kernel to run is compared with what nbgrader's kernel has run.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import nbgrader.api
import pytest

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import EMPTY, Exercise, Verdict
from posttrain_lab.grading import autograde
from posttrain_lab.grading import check_notebook as learner
from posttrain_lab.grading.autograde import grade
from posttrain_lab.grading.check_notebook import check_notebook
from posttrain_lab.grading.course import CONFIG, find_course
from posttrain_lab.grading.kernel import check_in_kernel
from posttrain_lab.grading.release import student_notebook
from posttrain_lab.grading.session import StudentKernel

COURSE = find_course()
FIRST, *OTHERS = COURSE.units()
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def alembic_answers_once() -> Iterator[None]:
    """nbgrader asks this program for the version of its database at every new gradebook, 3 seconds each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nbgrader.api, "get_alembic_version", cache(nbgrader.api.get_alembic_version))
        yield


@dataclass
class Steps:
    """What one kernel was asked, in order: a cell's code, or (an exercise, the error of its cell); and what came of each."""

    asked: list[Any] = field(default_factory=list)
    came: list[Any] = field(default_factory=list)

    def add(self, asked: Any, came: Any) -> Any:
        self.asked.append(asked)
        self.came.append(came)
        return came

    def verdicts(self) -> list[Verdict]:
        return [one for one in self.came if isinstance(one, Verdict)]


class Watched(StudentKernel):
    """A kernel that keeps what it is asked."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.steps = Steps()
        self.all.append(self.steps)

    def run(self, source: str, keep: bool = True) -> list[nbformat.NotebookNode]:
        return self.steps.add(source, super().run(source, keep))


class Replayed(Watched):
    """In place of a kernel that would be asked the same again: gives what came the first time, and starts nothing."""

    def run(self, source: str, keep: bool = True) -> list[nbformat.NotebookNode]:
        return self.next(source)

    def next(self, asked: Any) -> Any:
        place = len(self.steps.asked)
        assert self.before.asked[place] == asked
        return self.steps.add(asked, self.before.came[place])


def watched_check(exercise: Exercise, kernel: Watched, error: str = "") -> Verdict:
    return kernel.steps.add((exercise.name, error), check_in_kernel(exercise, kernel, error))


def test_the_first_units_solutions_are_right_and_an_untouched_notebook_is_empty(tmp_path):
    assert full_marks(check_notebook(COURSE.source(FIRST), FIRST), FIRST)
    path = _write(student_notebook(COURSE, FIRST), tmp_path)
    assert {verdict.message for verdict in check_notebook(path, FIRST)} == {EMPTY}


def full_marks(verdicts: list[Verdict], unit: str) -> bool:
    return [(v.exercise, v.points) for v in verdicts] == [(e.name, e.points) for e in checks.exercises(unit).values()]


def test_nbgrader_gives_full_marks_and_none_with_all_figures_drawn(tmp_path):
    """tests/course runs all cells of all units."""
    assert figures_drawn(graded(FIRST, tmp_path, figures=True)) == {True}


@pytest.mark.parametrize("unit", OTHERS)
def test_both_ways_to_grade_give_full_marks_and_none(unit, tmp_path, monkeypatch):
    runs: list[Steps] = []
    monkeypatch.setattr(Watched, "all", runs, raising=False)
    monkeypatch.setattr(autograde, "StudentKernel", Watched)
    monkeypatch.setattr(autograde, "check_in_kernel", watched_check)
    assert figures_drawn(graded(unit, tmp_path, figures=False)) == {False}
    empty, perfect = runs
    monkeypatch.setattr(learner, "StudentKernel", Replayed)
    monkeypatch.setattr(learner, "check_in_kernel", lambda exercise, kernel, error: kernel.next((exercise.name, error)))
    for folder, before in (("empty", empty), ("perfect", perfect)):
        monkeypatch.setattr(Replayed, "before", before, raising=False)
        verdicts = check_notebook(tmp_path / "submitted" / folder / unit / f"{unit}.ipynb", unit)
        assert verdicts == before.verdicts()
        assert runs.pop().asked == before.asked
        assert full_marks(verdicts, unit) if folder == "perfect" else {one.message for one in verdicts} == {EMPTY}


def graded(unit: str, root: Path, figures: bool) -> nbformat.NotebookNode:
    """nbgrader's result for the solutions, after its marks for them and for the untouched notebook were looked at."""
    config = (COURSE.root / CONFIG).read_text(encoding="utf-8") + f"\nc.GradeInKernel.figures = {figures}\n"
    (root / CONFIG).write_text(config, encoding="utf-8")
    shutil.copytree(COURSE.sources() / unit, root / "solutions" / unit)
    submitted = root / "submitted"
    _write(student_notebook(COURSE, unit), submitted / "empty" / unit, unit)
    (submitted / "perfect" / unit).mkdir(parents=True)
    shutil.copy(COURSE.source(unit), submitted / "perfect" / unit)
    report = grade(unit, root)
    points = sum(exercise.points for exercise in checks.exercises(unit).values())
    assert [(row.student, row.score, row.max_score, row.error) for row in report.rows] == [
        ("empty", 0, points, ""),
        ("perfect", points, points, ""),
    ]
    return nbformat.read(root / "autograded" / "perfect" / unit / f"{unit}.ipynb", as_version=4)


def figures_drawn(notebook: nbformat.NotebookNode) -> set[bool]:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "widget" in cell.metadata.get("tags", [])]
    return {bool(cell.outputs) for cell in cells}


def _write(notebook: nbformat.NotebookNode, folder: Path, name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path
