"""The course's own units: their solutions get full marks and an untouched student's notebook none, by both ways to grade.

A class is graded in the sandbox. `check_notebook`, the learner's own command, uses a Jupyter kernel; it asks the same functions the same
questions when its kernel runs the same cells and each exercise is checked at the same place. So only the first unit goes through its
kernels as well, and for the others what both ask is compared.
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

from posttrain_lab import checks, units
from posttrain_lab.checks.engine.exercise import EMPTY, Exercise, Verdict
from posttrain_lab.grading import check_notebook as learner
from posttrain_lab.grading import judge_notebook as judge
from posttrain_lab.grading.check_notebook import check_notebook
from posttrain_lab.grading.classroom import Order, grade
from posttrain_lab.grading.course import CONFIG, find_course, read_notebook
from posttrain_lab.grading.release import student_notebook
from posttrain_lab.grading.sandbox.available import no_sandbox
from posttrain_lab.grading.session import Limits

COURSE = find_course()
FIRST = COURSE.units()[0]
PARAGRAPH = 3  # points of the paragraph that a person marks
REPORT = {"12_project_edge": 12}  # which is a report in a project
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def alembic_answers_once() -> Iterator[None]:
    """nbgrader asks this program for the version of its database at every new gradebook, 3 seconds each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nbgrader.api, "get_alembic_version", cache(nbgrader.api.get_alembic_version))
        yield


def test_the_first_units_solutions_are_right_and_an_untouched_notebook_is_empty(tmp_path):
    assert full_marks(check_notebook(COURSE.source(FIRST), FIRST), FIRST)
    path = _write(student_notebook(COURSE, FIRST), tmp_path)
    assert {verdict.message for verdict in check_notebook(path, FIRST)} == {EMPTY}


def full_marks(verdicts: list[Verdict], unit: str) -> bool:
    return [(v.exercise, v.points) for v in verdicts] == [(e.name, e.points) for e in checks.exercises(unit).values()]


@pytest.mark.parametrize("unit", COURSE.units())
def test_a_class_gets_full_marks_and_none(unit, tmp_path):
    """The first unit with all figures drawn; tests/course runs all cells of all units."""
    submitted = tmp_path / "submitted"
    shutil.copy(COURSE.root / CONFIG, tmp_path)
    shutil.copytree(COURSE.sources() / unit, tmp_path / "solutions" / unit)
    _write(student_notebook(COURSE, unit), submitted / "empty" / unit, unit)
    (submitted / "perfect" / unit).mkdir(parents=True)
    shutil.copy(COURSE.source(unit), submitted / "perfect" / unit)
    report = grade(unit, tmp_path, Order(sandbox=not no_sandbox(), all_cells=unit == FIRST))
    points = sum(exercise.points for exercise in checks.exercises(unit).values()) + units.find(unit).beside.points
    by_hand = REPORT.get(unit, PARAGRAPH)
    assert [(row.student, row.score, row.max_score, row.error) for row in report.rows] == [
        ("empty", 0, points + by_hand, ""),
        ("perfect", points, points + by_hand, ""),
    ]
    assert _waiting(tmp_path / "gradebook.db", unit) == {"empty": [], "perfect": [by_hand]}
    book = nbformat.read(tmp_path / "autograded" / "perfect" / unit / f"{unit}.ipynb", as_version=4)
    assert {bool(cell.outputs) for cell in book.cells if "widget" in cell.metadata.get("tags", [])} == {True}
    assert (tmp_path / "feedback" / "perfect" / unit / f"{unit}.html").stat().st_size > 10_000


@dataclass
class Recorder:
    """A kernel that runs nothing and keeps what it is asked."""

    asked: list[Any] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def run(self, source: str, keep: bool = True) -> list[nbformat.NotebookNode]:
        self.asked.append(source)
        return []

    def answer(self, asked: tuple[str, ...], left: float) -> str:
        raise AssertionError("exercises are recorded, not asked")


def recorded(exercise: Exercise, kernel: Recorder, error: str = "", seeds: object = None) -> Verdict:
    kernel.asked.append((exercise.name, error))
    return Verdict(exercise.name, True, "", exercise.points, exercise.points)


@pytest.mark.parametrize("unit", COURSE.units())
def test_both_ways_to_grade_ask_the_same(unit, monkeypatch):
    for module in (judge, learner):
        monkeypatch.setattr(module, "check_in_kernel", recorded)
    first, second = Recorder(), Recorder()
    monkeypatch.setattr(learner, "StudentKernel", lambda *_: first)
    check_notebook(COURSE.source(unit), unit)
    judge.judge_notebook(read_notebook(COURSE.source(unit)), unit, second, all_cells=False)
    assert first.asked[: len(second.asked)] == second.asked
    assert {one[0] for one in second.asked if isinstance(one, tuple)} == set(checks.exercises(unit))


def _waiting(base: Path, unit: str) -> dict[str, list[float]]:
    """The points of what a person must mark."""
    with nbgrader.api.Gradebook(f"sqlite:///{base}") as book:
        cells = {one.student.id: one.notebooks[0].grades for one in book.assignment_submissions(unit)}
        return {student: [cell.max_score for cell in grades if cell.needs_manual_grade] for student, grades in cells.items()}


def _write(notebook: nbformat.NotebookNode, folder: Path, name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path
