"""The course's own units: their solutions get full marks and an untouched student's notebook none, by both ways to grade."""

import shutil
from pathlib import Path

import nbformat
import pytest

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import EMPTY
from posttrain_lab.grading.autograde import grade
from posttrain_lab.grading.check_notebook import check_notebook
from posttrain_lab.grading.course import CONFIG, find_course
from posttrain_lab.grading.release import student_notebook

COURSE = find_course()
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("unit", COURSE.units())
def test_the_solutions_are_right_and_an_untouched_notebook_is_empty(unit, tmp_path):
    verdicts = check_notebook(COURSE.source(unit), unit)
    assert [(v.exercise, v.points) for v in verdicts] == [(e.name, e.points) for e in checks.exercises(unit).values()]
    path = _write(student_notebook(COURSE, unit), tmp_path)
    assert {verdict.message for verdict in check_notebook(path, unit)} == {EMPTY}


@pytest.mark.parametrize("unit", COURSE.units())
def test_nbgrader_gives_full_marks_and_none(unit, tmp_path):
    """Figures are drawn while grading in the first unit only; tests/course runs all cells of all units."""
    figures = unit == COURSE.units()[0]
    config = (COURSE.root / CONFIG).read_text(encoding="utf-8") + f"\nc.GradeInKernel.figures = {figures}\n"
    (tmp_path / CONFIG).write_text(config, encoding="utf-8")
    shutil.copytree(COURSE.sources() / unit, tmp_path / "solutions" / unit)
    submitted = tmp_path / "submitted"
    _write(student_notebook(COURSE, unit), submitted / "empty" / unit, unit)
    (submitted / "perfect" / unit).mkdir(parents=True)
    shutil.copy(COURSE.source(unit), submitted / "perfect" / unit)
    report = grade(unit, tmp_path)
    points = sum(exercise.points for exercise in checks.exercises(unit).values())
    assert [(row.student, row.score, row.max_score, row.error) for row in report.rows] == [
        ("empty", 0, points, ""),
        ("perfect", points, points, ""),
    ]
    graded = nbformat.read(tmp_path / "autograded" / "perfect" / unit / f"{unit}.ipynb", as_version=4)
    drawn = [cell for cell in graded.cells if cell.cell_type == "code" and "widget" in cell.metadata.get("tags", [])]
    assert [bool(cell.outputs) for cell in drawn] == [figures] * len(drawn)


def _write(notebook: nbformat.NotebookNode, folder: Path, name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path
