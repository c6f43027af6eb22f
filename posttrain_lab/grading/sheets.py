"""The tokens of a class: from the instructor's secret and the student's id, so that grading needs no list.

The secret is made at the first use, beside nbgrader_config.py. Grading makes a student's token again from the id that the gradebook has,
and does not ask the notebook which one it took.
"""

import csv
import io
import os
import secrets
from pathlib import Path

from posttrain_lab.clinic import token_of
from posttrain_lab.grading.collecting.roster import read_roster
from posttrain_lab.grading.course import CourseError
from posttrain_lab.whole_files import write_whole

SECRET, TOKENS = "clinic_secret.txt", "sheets.csv"
FEWEST = 32  # characters: a token could otherwise be tried against all secrets


def secret_of(root: Path, name: str = SECRET) -> str:
    """The course's secret in the file of this name; a new one of 256 bits, readable by its owner only, where there is none.

    Raises CourseError for one that cannot be read, or is too short to be one.
    """
    path = root / name
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise CourseError(f"{path} cannot be written ({error.strerror}); go to the folder of your course.") from None
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read ({error}); put the secret back that your class began with.") from None
    if len(secret) < FEWEST:
        raise CourseError(f"{path} has a secret of {len(secret)} characters; put back the one of your class, or delete the file.")
    return secret


def student_token(root: Path, student: str) -> str:
    """The token of the student with this id."""
    return token_of(secret_of(root), student)


def write_tokens(root: Path, roster: Path) -> int:
    """Write sheets.csv, a line for each student of the roster; returns how many. Raises CourseError for a roster that cannot be used."""
    students = read_roster(roster).students
    if not students:
        raise CourseError(f"The roster {roster} has no students; give it a line for each.")
    secret = secret_of(root)
    _write(root, [(student.student_id, token_of(secret, student.student_id)) for student in students])
    return len(students)


def forget_token(root: Path, student: str) -> bool:
    """Take the student's line out of sheets.csv; false where there was none."""
    try:
        text = (root / TOKENS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    rows = [(row[0], row[1]) for row in list(csv.reader(io.StringIO(text)))[1:] if len(row) > 1]
    kept = [row for row in rows if row[0] != student]
    if len(kept) < len(rows):
        _write(root, kept)
    return len(kept) < len(rows)


def _write(root: Path, rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("student_id", "token"), *rows])
    write_whole(root / TOKENS, text.getvalue())
