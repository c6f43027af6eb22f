"""Attacks in one class with honest students: nobody reaches anything, nobody gets points, and nobody else's grade is touched."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell
from small_unit import FULL, POINTS, UNIT, blank, make_course, notebook, register, write

from posttrain_lab.grading.classroom import Graded, GradeReport, Order, grade
from posttrain_lab.grading.sandbox.available import no_sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(no_sandbox()), reason="this machine lacks a sandbox"),
]
ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.txt"))
LIMITS = """
c.GradeInKernel.cell_timeout = 4
c.GradeInKernel.call_timeout = 4
c.GradeInKernel.exercise_timeout = 10
c.GradeInKernel.notebook_timeout = 40
c.GradeInKernel.restarts = 3
"""
HONEST = ("aa_honest", "mm_honest", "zz_honest")


@dataclass(frozen=True)
class Class:
    """A graded class, and what lay in the course before."""

    root: Path
    report: GradeReport
    before: dict[str, str]

    def row(self, student: str) -> Graded:
        return next(row for row in self.report.rows if row.student == student)


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        patch.setenv("SECRET_OF_THE_GRADER", "hidden seeds")
        root = make_course(tmp_path_factory.mktemp("attacked"), LIMITS)
        for name in HONEST:
            write(notebook(), root / "submitted" / name / UNIT)
        for path in ATTACKS:
            book = notebook({name: blank(name) for name in POINTS})
            book.cells.insert(2, new_code_cell("import os\n" + path.read_text(encoding="utf-8"), id="attack"))
            write(book, root / "submitted" / path.stem / UNIT)
        patch.chdir(root)
        before = files(root)
        yield Class(root, grade(UNIT, root, Order(workers=2)), before)


def files(root: Path) -> dict[str, str]:
    """A hash of every file of the course, and of the package."""
    package = Path(__file__).resolve().parents[2] / "posttrain_lab"
    found = [path for place in (root, package) for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda path: path.stem)
def test_an_attack_reaches_nothing(graded_class, attack):
    first, second = attack.read_text(encoding="utf-8").splitlines()[:2]
    assert (first.partition(":")[0], second.partition(":")[0]) == ("# TRIES", "# MUST")
    row = graded_class.row(attack.stem)
    assert (row.score, row.error) == (0.0, "")
    book = nbformat.read(graded_class.root / "autograded" / attack.stem / UNIT / f"{UNIT}.ipynb", as_version=4)
    shown = [str(cell.outputs) for cell in book.cells if cell.cell_type == "code"]
    assert [text for text in shown if "REACHED" in text] == []


@pytest.mark.parametrize("student", HONEST)
def test_honest_students_keep_their_points(graded_class, student):
    row = graded_class.row(student)
    assert (row.score, row.error) == (FULL, "")


def test_no_file_of_the_course_or_the_package_has_changed(graded_class):
    now = files(graded_class.root)
    assert {path for path, known in graded_class.before.items() if now.get(path) != known} == set()


def test_nothing_is_left_running(graded_class):
    """Each process of the graded class is gone, also those that left their parents."""
    left = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (
                    b"sandbox.worker" in (folder / "cmdline").read_bytes()
                    and (folder / "environ").read_bytes().find(b"posttrain-lab-view") > 0
                ):
                    left.append(folder.name)
            except OSError:
                continue
    assert left == []
