"""The gradebook in a real PostgreSQL: a class is graded, marked by two persons at once, given back, and forgotten as in SQLite."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ended_run
import pytest
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook
from postgres_server import postgres_server, programs
from small_unit import FULL, POINTS, UNIT, blank, make_course, notebook, write
from sqlalchemy import create_engine, text

from posttrain_lab.grading.classroom import feedback
from posttrain_lab.grading.exports import export_unit
from posttrain_lab.grading.forget import forget
from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed (apt-get install postgresql)"),
]
HERE = Path(__file__).resolve().parent
STUDENTS = ("ann", "bob", "cy")
AUTO = {"ann": FULL, "bob": FULL - POINTS["cube"], "cy": 0}
PARAGRAPHS = {"why": 3, "how": 2}  # cells that a person marks, with their points


def with_paragraphs(book, answer):
    for name, points in PARAGRAPHS.items():
        data = {"grade_id": name, "grade": True, "solution": True, "locked": False, "points": points, "schema_version": 3}
        data["task"] = False
        book.cells.insert(4, new_markdown_cell(answer.format(name), id=name, metadata={"nbgrader": data}))
    return book


@dataclass(frozen=True)
class Graded:
    root: Path
    url: str
    rows: list[dict]

    def all_texts(self) -> str:
        """Every value of every table, as text."""
        engine = create_engine(self.url)
        with engine.connect() as line:
            names = line.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
            found = [str(line.execute(text(f'select * from "{name}"')).all()) for name in names]
        engine.dispose()
        return "\n".join(found)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Iterator[Graded]:
    root = tmp_path_factory.mktemp("course")
    with postgres_server() as url, pytest.MonkeyPatch.context() as patch:
        make_course(root, f"c.CourseDirectory.db_url = {url!r}")
        model = "### BEGIN SOLUTION\nthe model answer\n### END SOLUTION"
        write(with_paragraphs(notebook(source_notebook=True), model), root / "solutions" / UNIT)
        answers = {"ann": {}, "bob": {"cube": blank("cube")}, "cy": {name: blank(name) for name in POINTS}}
        for student, given in answers.items():
            book = with_paragraphs(notebook(given), f"{student} says {{}}.")
            write(book, root / "submitted" / student / UNIT)
        patch.chdir(root)
        yield Graded(root, url, ended_run.graded(sandbox=False))


def test_a_class_is_graded_there_and_nowhere_else(course):
    assert {row["student"]: (row["score"], row["error"]) for row in course.rows} == {one: (AUTO[one], "") for one in STUDENTS}
    assert not (course.root / "gradebook.db").exists()
    with Gradebook(course.url) as base:
        assert {one.student_id: one.score for one in base.assignment_submissions(UNIT)} == AUTO


def test_two_persons_mark_while_the_class_is_graded_again_and_nothing_is_lost(course):
    persons = [
        subprocess.Popen([sys.executable, str(HERE / "mark_all.py"), course.url, UNIT, cell, str(points), "5"], cwd=course.root)
        for cell, points in PARAGRAPHS.items()
    ]
    rows = ended_run.graded(sandbox=False, regrade=True)
    assert [person.wait(120) for person in persons] == [0, 0]
    assert [row["error"] for row in rows] == ["", "", ""]
    with Gradebook(course.url) as base:
        for student in STUDENTS:
            marks = {name: base.find_grade(name, UNIT, UNIT, student).manual_score for name in PARAGRAPHS}
            comments = {name: base.find_comment(name, UNIT, UNIT, student).comment for name in PARAGRAPHS}
            assert marks == PARAGRAPHS
            assert comments == {name: f"{float(points)} for {student}" for name, points in PARAGRAPHS.items()}
            assert base.find_submission(UNIT, student).score == AUTO[student] + sum(PARAGRAPHS.values())


def test_feedback_tables_and_the_report_have_the_marks(course):
    total = {student: AUTO[student] + sum(PARAGRAPHS.values()) for student in STUDENTS}
    assert feedback(UNIT, course.root) == dict.fromkeys(STUDENTS, "")
    assert "3.0 for bob" in (course.root / "feedback" / "bob" / UNIT / f"{UNIT}.html").read_text(encoding="utf-8")
    book = CourseGradebook(course.root, UNIT)
    with nbgrader_tools(), book.base() as base:
        moodle = export_unit(base, book.root, UNIT, "moodle")
    ended_run.graded(sandbox=False)
    with (course.root / "grades.csv").open(encoding="utf-8", newline="") as file:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)} == total
    assert "bob" in moodle.read_text(encoding="utf-8")
    assert "3 submissions, 3 graded" in (course.root / "reports" / f"{UNIT}.html").read_text(encoding="utf-8")


def test_forget_removes_one_and_keeps_the_others(course):
    assert "bob" in course.all_texts()
    assert "the gradebook" in forget("bob", course.root)
    assert "bob" not in course.all_texts()
    assert "bob" not in (course.root / "grades.csv").read_text(encoding="utf-8")
    with Gradebook(course.url) as base:
        assert {one.student_id for one in base.assignment_submissions(UNIT)} == {"ann", "cy"}
        assert base.find_submission(UNIT, "ann").score == FULL + sum(PARAGRAPHS.values())
