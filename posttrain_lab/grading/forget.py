"""Remove all that the course stores of one student."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from posttrain_lab.grading.collecting.roster import safe_student_id
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.exports import rewrite_exports
from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools
from posttrain_lab.grading.jobs import FOLDER, Jobs, only_run
from posttrain_lab.grading.results.class_report import rewrite_reports
from posttrain_lab.grading.sheets import TOKENS, forget_token

STEPS = ("submitted", "autograded", "feedback")


def forget(student: str, root: Path | None = None) -> tuple[str, ...]:
    """Remove a student's submissions, attempts, grades, feedback and lines in tables and reports; what was removed, in words.

    The roster, backups and what was handed to others are not the course's to change. Raises CourseError when nothing is stored.
    """
    if not safe_student_id(student):
        raise CourseError(f"{student!r} is no student's id.")
    book = CourseGradebook(root or Path.cwd(), "")
    with only_run(book.root), nbgrader_tools(), Jobs(book.root) as jobs:
        done = [f"{path.relative_to(book.root).as_posix()}/" for path in _folders(book.root, student) if _removed(path)]
        if jobs.forget(student):
            done.append(f"jobs in {FOLDER}/")
        if forget_token(book.root, student):
            done.append(TOKENS)
        with book.base() as base:
            if _removed_from(base, student):
                done.append("the gradebook")
            if done:
                done += [*rewrite_exports(base, book.root), *rewrite_reports(base, book.root, jobs)]
        if not done:
            raise CourseError(f"Nothing is stored of {student!r}.")
        if (book.root / "grades.csv").is_file():
            done.append(book.export().name)
    return tuple(done)


def _folders(root: Path, student: str) -> list[Path]:
    """Every folder that is the student's; a name is compared, not searched for, so nothing in it is a pattern."""
    places = [root / step / student for step in STEPS] + [root / FOLDER / "attempts" / student]
    places += [folder / "submissions" / student for folder in (root / "similarity").glob("*")]
    return [path for path in places if path.is_dir() or path.is_symlink()]


def _removed(path: Path) -> bool:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
    return True


def _removed_from(base: Any, student: str) -> bool:
    """Take the student out of the gradebook, and their text out of the free pages of its file."""
    try:
        found = base.find_student(student)
    except MissingEntry:
        return False
    for unit in [submission.assignment.name for submission in found.submissions]:
        base.remove_submission(unit, student)
    base.remove_student(student)
    base.db.commit()
    with contextlib.suppress(SQLAlchemyError), base.engine.connect() as line:  # a database may do this by itself, or not allow it
        line.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum"))
    return True
