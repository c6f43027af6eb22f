"""A run may end at any moment: what was graded stays, nothing is half, and the same command does what is missing, once."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import ended_run
import pytest
from nbgrader.api import Gradebook, MissingEntry
from small_unit import FULL, POINTS, REPOSITORY, UNIT, blank, cell, make_course, notebook, write

from posttrain_lab.grading import classroom
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.gradebook import CourseGradebook
from posttrain_lab.grading.jobs import TRIES, Jobs, only_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
HERE = Path(__file__).resolve().parent
RIGHT = {"ann": FULL, "bob": FULL - POINTS["cube"], "cy": 0}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A class of three: perfect, without one exercise, and blank."""
    root = make_course(tmp_path)
    answers = {"ann": {}, "bob": {"cube": blank("cube")}, "cy": {name: blank(name) for name in POINTS}}
    for student, given in answers.items():
        write(notebook(given), root / "submitted" / student / UNIT)
    monkeypatch.chdir(root)
    return root


def start(course: Path, *step: str) -> subprocess.Popen:
    path = os.pathsep.join([str(HERE), str(REPOSITORY)])
    command = [sys.executable, str(HERE / "ended_run.py"), *step]
    return subprocess.Popen(command, cwd=course, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def ended(course: Path, *step: str) -> int:
    process = start(course, *step)
    process.communicate(timeout=600)
    return process.returncode


def scores(rows: list[dict]) -> dict[str, float]:
    return {row["student"]: row["score"] for row in rows if not row["error"]}


def in_gradebook(course: Path) -> dict[str, list[float | None]]:
    """The points of each cell, of all who have a submission."""
    found = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as base:
        for student in RIGHT:
            try:
                found[student] = [grade.auto_score for grade in base.find_submission(UNIT, student).notebooks[0].grades]
            except MissingEntry:
                continue
    return found


@pytest.mark.parametrize(
    "step", ["put 1 after", "put 4 before", "put 5 after", "save 1 before", "cell 9 before", "save 2 after", "feedback 1 after"]
)
def test_killed_at_any_moment_no_grade_is_lost_or_half(course, step):
    assert ended(course, *step.split()) == -signal.SIGKILL
    with Jobs(course) as jobs:
        states = {row[1]: row[3] for row in jobs._base.execute("select * from jobs")}
    for student, points in in_gradebook(course).items():
        assert sum(one or 0 for one in points) == RIGHT[student] or set(points) == {None}
        if states[student] == "done":
            assert None not in points
    before = Counter((course / "judged.txt").read_text().splitlines()) if (course / "judged.txt").exists() else Counter()
    kept = {student for student, state in states.items() if state in ("judged", "done")}
    assert scores(ended_run.graded(sandbox=False)) == RIGHT
    assert (course / "own.txt").exists()
    again = Counter((course / "judged.txt").read_text().splitlines()) - before
    assert {line.split()[0] for line in again} == set(RIGHT) - kept
    assert max(again.values(), default=1) == 1


def test_a_second_run_does_nothing_and_a_changed_submission_is_graded_again(course):
    assert scores(ended_run.graded(sandbox=False)) == RIGHT
    assert scores(ended_run.graded(sandbox=False)) == RIGHT
    assert len((course / "judged.txt").read_text().splitlines()) == 3
    write(notebook(), course / "submitted" / "cy" / UNIT)
    assert scores(ended_run.graded(sandbox=False)) == RIGHT | {"cy": FULL}
    assert [line.split()[0] for line in (course / "judged.txt").read_text().splitlines()[3:]] == ["cy"]


def test_a_regrade_repeats_the_secret_seed_and_a_new_run_draws_another(course):
    ended_run.graded(sandbox=False)
    ended_run.graded(sandbox=False, regrade=True)
    first, second = (Counter((course / "judged.txt").read_text().splitlines()[part]) for part in (slice(3), slice(3, 6)))
    assert first == second
    assert len({line.split()[1] for line in first}) == 1
    write(notebook(), course / "submitted" / "cy" / UNIT)
    ended_run.graded(sandbox=False)
    assert {line.split()[1] for line in first} != {(course / "judged.txt").read_text().split()[-1]}


def test_changed_points_stop_with_a_sentence_unless_regraded(course):
    ended_run.graded(sandbox=False)
    book = notebook(source_notebook=True)
    cell(book, "test_cube").metadata.nbgrader.points = 30
    write(book, course / "solutions" / UNIT)
    with pytest.raises(CourseError, match=r"test_cube.*--regrade"):
        ended_run.graded(sandbox=False)
    assert scores(ended_run.graded(sandbox=False, regrade=True)) == {"ann": FULL + 27, "bob": RIGHT["bob"], "cy": 0}


def test_what_ended_the_grader_twice_is_set_aside_and_named_and_the_others_are_graded(course):
    assert ended(course, "put", "1", "after") == -signal.SIGKILL  # ann runs
    assert ended(course, "put", "4", "before") == -signal.SIGKILL
    with sqlite3.connect(course / ".posttrain_lab" / "grading.sqlite3") as base:
        base.execute("update jobs set state = 'running', tries = ? where student = 'ann'", (TRIES,))
    base.close()
    rows = {row["student"]: row for row in ended_run.graded(sandbox=False)}
    assert "set aside" in rows["ann"]["error"]
    assert scores(list(rows.values())) == {"bob": RIGHT["bob"], "cy": 0}


def test_of_two_runs_at_once_the_second_says_who_is_running(course):
    with only_run(course), pytest.raises(CourseError, match=f"process {os.getpid()} on .*Wait for it, or end it"):
        ended_run.graded(sandbox=False)
    assert scores(ended_run.graded(sandbox=False)) == RIGHT


def test_a_full_disk_is_a_sentence(course, monkeypatch):
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Jobs, "put", full)
    with pytest.raises(CourseError, match=r"disk is full.*the same command goes on"):
        ended_run.graded(sandbox=False)


def test_without_the_sandbox_each_grade_says_so(course):
    assert {row["sandboxed"] for row in ended_run.graded(sandbox=False)} == {False}
    with Jobs(course) as jobs:
        results = [json.loads(row[6]) for row in jobs._base.execute("select * from jobs")]
    assert {result["sandbox"] for result in results} == {False}
    assert {row["sandboxed"] for row in ended_run.graded(sandbox=False)} == {False}  # also when nothing is left to do


def test_where_there_is_no_sandbox_grading_refuses_with_the_remedy(course, monkeypatch):
    monkeypatch.setattr(classroom, "no_sandbox", lambda: "This machine allows no sandbox: give --no-sandbox to do without.")
    with pytest.raises(CourseError, match="--no-sandbox"):
        ended_run.graded()
    assert not (course / "gradebook.db").exists()


def test_a_gradebook_that_is_lost_in_the_middle_is_filled_again(course, monkeypatch):
    real = CourseGradebook.save

    def lost_before_bob(book: CourseGradebook, student: str, text: str) -> str:
        if student == "bob":
            (course / "gradebook.db").unlink()
        return real(book, student, text)

    with monkeypatch.context() as patch:
        patch.setattr(CourseGradebook, "save", lost_before_bob)
        with pytest.raises(CourseError, match=r"gradebook .* cannot be written"):
            ended_run.graded(sandbox=False)
    assert scores(ended_run.graded(sandbox=False)) == RIGHT
    assert {student: sum(points) for student, points in in_gradebook(course).items()} == RIGHT
    judged = [line.split()[0] for line in (course / "judged.txt").read_text().splitlines()]
    assert sorted(judged) == sorted(RIGHT)  # nobody twice


@pytest.mark.parametrize("moment", ["at the start", "in the middle"])
def test_a_locked_gradebook_is_told_and_the_same_command_goes_on(course, monkeypatch, moment):
    with (course / "nbgrader_config.py").open("a") as file:  # sqlite waits so many seconds for others
        file.write(f"\nc.CourseDirectory.db_url = 'sqlite:///{course}/gradebook.db?timeout=0.05'\n")
    real, held = CourseGradebook.save, []

    def hold(*_: object) -> None:
        held.append(sqlite3.connect(course / "gradebook.db"))
        held[0].execute("begin exclusive")

    def held_before_bob(book: CourseGradebook, student: str, text: str) -> str:
        if student == "bob":
            hold()
        return real(book, student, text)

    with monkeypatch.context() as patch:
        if moment == "at the start":
            hold()
        patch.setattr(CourseGradebook, "save", held_before_bob)
        with pytest.raises(CourseError, match=r"locked.*the same command goes on"):
            ended_run.graded(sandbox=False)
    held[0].close()
    assert scores(ended_run.graded(sandbox=False)) == RIGHT
    judged = [line.split()[0] for line in (course / "judged.txt").read_text().splitlines()]
    assert sorted(judged) == sorted(RIGHT)
