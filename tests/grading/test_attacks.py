"""Attacks and faults in one class with honest students: nobody reaches anything, gets points for nothing, or touches another's grade.

The class is graded as the user of the tests, and where that is root as an ordinary user too.
"""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_unit import FULL, POINTS, REPOSITORY, UNIT, blank, make_course, notebook, source, write

from posttrain_lab.grading.sandbox.available import no_sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(no_sandbox()), reason="this machine lacks a sandbox"),
]
HERE = Path(__file__).resolve().parent
FAULTS = sorted((HERE / "attacks").glob("*.fault.txt"))
ATTACKS = sorted(path for path in (HERE / "attacks").glob("*.txt") if path not in FAULTS)
LIMITS = """
c.GradeInKernel.cell_timeout = 4
c.GradeInKernel.call_timeout = 4
c.GradeInKernel.exercise_timeout = 20
c.GradeInKernel.notebook_timeout = 60
c.GradeInKernel.restarts = 3
"""
HONEST = ("aa_honest", "mm_honest", "zz_honest")
ORDINARY = 12_345
ROOT = hasattr(os, "getuid") and os.getuid() == 0
USERS = ["root", "an ordinary user"] if ROOT else ["an ordinary user"]


def heads(path: Path) -> dict[str, str]:
    """What a file says before its code."""
    lines = [line[2:].partition(": ") for line in path.read_text(encoding="utf-8").splitlines()[:4]]
    return {word: text for word, _, text in lines if word in ("TRIES", "MUST", "THEN", "STUDENT")}


def student_of(path: Path) -> str:
    return heads(path).get("STUDENT", path.name.partition(".")[0])


@dataclass(frozen=True)
class Class:
    """A graded class, and what lay in the course before."""

    root: Path
    rows: dict[str, dict[str, Any]]
    before: dict[str, str]


@pytest.fixture(scope="module", params=USERS)
def graded_class(request):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        root = make_course(Path(name), LIMITS)
        for student in HONEST:
            write(notebook(), root / "submitted" / student / UNIT)
        for path in ATTACKS:
            book = notebook({exercise: blank(exercise) for exercise in POINTS})
            book.cells.insert(2, new_code_cell("import os\n" + path.read_text(encoding="utf-8"), id="attack"))
            write(book, root / "submitted" / path.stem / UNIT)
        for path in FAULTS:
            hand_in(path, root)
        before = files(root)
        ordinary = ROOT and request.param != "root"
        if ordinary:
            for path in (root, *root.rglob("*")):
                os.chown(path, ORDINARY, ORDINARY, follow_symlinks=False)
        yield Class(root, graded(root, ordinary), before)


def hand_in(path: Path, course: Path) -> None:
    """One faulty submission, as its file says."""
    folder = course / "submitted" / student_of(path) / UNIT
    folder.mkdir(parents=True)
    names = {"course": course, "folder": folder, "book": notebook(), "NAME": f"{UNIT}.ipynb", "UNIT": UNIT, "write": write}
    tools = {"json": json, "nbformat": nbformat, "os": os, "notebook": notebook, "source": source}
    exec(path.read_text(encoding="utf-8"), {**names, **tools, "new_markdown_cell": new_markdown_cell})


def graded(root: Path, ordinary: bool) -> dict[str, dict[str, Any]]:
    """The rows of the report, by student."""
    command = [sys.executable, str(HERE / "grade_small.py"), "2"]
    if ordinary:
        command = [sys.executable, str(HERE / "as_user.py"), str(ORDINARY), *command]
    home = {"HOME": str(root), "PYTHONPATH": os.pathsep.join([str(HERE), str(REPOSITORY)]), "PYTHONDONTWRITEBYTECODE": "1"}
    env = {**os.environ, **home, "SECRET_OF_THE_GRADER": "hidden seeds"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=5400)
    assert done.returncode == 0, done.stderr[-3000:]
    return {row["student"]: row for row in json.loads(done.stdout.splitlines()[-1])}


def files(root: Path) -> dict[str, str]:
    """A hash of every file of the course, and of the package."""
    package = REPOSITORY / "posttrain_lab"
    found = [path for place in (root, package) for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.stat().st_size < 2**26}


def autograded(graded_class: Class, student: str) -> nbformat.NotebookNode:
    return nbformat.read(graded_class.root / "autograded" / student / UNIT / f"{UNIT}.ipynb", as_version=4)


def test_there_are_sixty_and_each_says_what_it_tries():
    assert len(ATTACKS) + len(FAULTS) >= 60
    assert [path.name for path in (*ATTACKS, *FAULTS) if not {"TRIES", "MUST"} <= heads(path).keys()] == []
    assert {heads(path)["THEN"] for path in FAULTS} == {"full", "needs attention"}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda path: path.stem)
def test_an_attack_reaches_nothing(graded_class, attack):
    row = graded_class.rows[attack.stem]
    assert (row["score"], row["error"]) == (0.0, "")
    cells = autograded(graded_class, attack.stem).cells
    assert [text for text in (str(cell.get("outputs")) for cell in cells) if "REACHED" in text] == []


@pytest.mark.parametrize("fault", FAULTS, ids=student_of)
def test_a_fault_costs_no_point_or_is_told(graded_class, fault):
    row = graded_class.rows[student_of(fault)]
    if heads(fault)["THEN"] == "full":
        assert (row["score"], row["error"]) == (FULL, "")
    else:
        assert row["error"].startswith("needs attention: ")
        assert not (graded_class.root / "autograded" / student_of(fault)).exists()


@pytest.mark.parametrize("student", HONEST)
def test_honest_students_keep_their_points(graded_class, student):
    row = graded_class.rows[student]
    assert (row["score"], row["error"], row["sandboxed"]) == (FULL, "", True)


def test_no_file_of_the_course_or_the_package_has_changed(graded_class):
    now = files(graded_class.root)
    assert {path for path, known in graded_class.before.items() if now.get(path) != known} == set()


def test_no_page_runs_a_script_of_a_student(graded_class):
    page = (graded_class.root / "feedback" / "script_in_text" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>\s*alert", page) == []
    assert re.findall(r"<[^>]*onerror", page) == []


def test_no_cell_of_the_table_is_a_formula(graded_class):
    with (graded_class.root / "grades.csv").open(encoding="utf-8", newline="") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert "'=HYPERLINK(1)" in cells
    assert [cell for cell in cells if cell.startswith("=")] == []


def test_nothing_is_left_running(graded_class):
    """Each process of the graded class is gone, also those that left their parents."""
    left = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(graded_class.root).encode() in words and (b"sandbox.worker" in words or b"small_examiner" in words):
                left.append(folder.name)
    assert left == []
