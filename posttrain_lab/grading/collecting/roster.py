"""Who is in the class: a CSV with one line a student, the instructor's own or one that Moodle or Canvas exports."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from posttrain_lab.grading.course import CourseError

# Headers as Moodle (participants, and the grading worksheet of an assignment) and Canvas (gradebook export) write them, and our own.
HEADERS = {
    "student_id": ("student_id", "username", "sis login id", "id number", "sis user id", "login"),
    "first_name": ("first_name", "first name"),
    "last_name": ("last_name", "last name", "surname"),
    "name": ("name", "full name", "student"),
    "email": ("email", "email address", "e-mail"),
    "canvas_id": ("canvas_id", "id"),
    "moodle_id": ("moodle_id", "identifier"),
    "submitted": ("submitted", "last modified (submission)"),
}
STUDENT_ID = re.compile(
    r"\w[\w.@+-]{0,99}"
)  # a folder's name: no separator or leading dot, nothing that a glob or a spreadsheet expands
LINES = 100_000


@dataclass(frozen=True)
class Student:
    """One line of the roster; what the platform does not tell is empty."""

    student_id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    canvas_id: str = ""
    moodle_id: str = ""
    submitted: str = ""

    @property
    def names(self) -> set[str]:
        """The ways in which platforms write the name, without spaces and marks."""
        return {key(f"{self.first_name}{self.last_name}"), key(f"{self.last_name}{self.first_name}")} - {""}


class Roster:
    """The students of a class, found by what a platform calls them."""

    def __init__(self, students: Iterable[Student]):
        self.students = tuple(students)

    def find(self, **wanted: str) -> Student | None:
        """The one student with this student_id, canvas_id, moodle_id, email or name; None for nobody, or for several."""
        ((what, value),) = wanted.items()
        if what == "name":
            found = [student for student in self.students if key(value) in student.names]
        else:
            folded = value.strip().casefold()
            found = [student for student in self.students if folded and getattr(student, what).casefold() == folded]
        return found[0] if len(found) == 1 else None


def key(name: str) -> str:
    """A name by which two platforms agree: letters and digits only, in lower case, composed.

    >>> key("O'Neil, Zoë  Ann")
    'oneilzoëann'
    """
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def safe_student_id(text: str) -> bool:
    """May this be a student's id, and so the name of a folder?

    >>> [safe_student_id(text) for text in ("ann.b@x.org", "..", "a/b", "*", "=1")]
    [True, False, False, False, False]
    """
    return bool(STUDENT_ID.fullmatch(text))


def read_roster(path: Path) -> Roster:
    """The roster in a CSV with a line of headers. Raises CourseError, with the line, for what cannot be used."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CourseError(f"The roster {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise CourseError(f"The roster {path} is not written in UTF-8; save it as `CSV UTF-8`.") from None
    first = text.partition("\n")[0]
    lines = list(csv.reader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ","))
    columns = _columns(lines[0] if lines else [])
    if "student_id" not in columns and "email" not in columns:
        raise CourseError(f"The roster {path} needs a column student_id (or username, SIS Login ID, ID number, email).")
    if len(lines) > LINES:
        raise CourseError(f"The roster {path} has more than {LINES:,} lines.")
    students = [_student(line, columns, f"line {number} of {path.name}") for number, line in enumerate(lines[1:], 2) if any(line)]
    return Roster(_once([student for student in students if student], path))


def _columns(header: list[str]) -> dict[str, int]:
    """Where each field is: the first of its headers that is there."""
    places = {name.strip().casefold(): place for place, name in reversed(list(enumerate(header)))}
    found = {what: next((places[name] for name in names if name in places), None) for what, names in HEADERS.items()}
    return {what: place for what, place in found.items() if place is not None}


def _student(line: list[str], columns: dict[str, int], where: str) -> Student | None:
    row = {what: line[place].strip() for what, place in columns.items() if place < len(line)}
    if not any(row.values()) or row.get("name", "").startswith(
        ("Points Possible", "Student, Test")
    ):  # Canvas has lines of no student
        return None
    student_id = row.get("student_id") or row.get("email", "")
    if not safe_student_id(student_id):
        raise CourseError(f"The student_id {student_id!r} in {where} cannot name a folder; use letters, digits and . _ @ + -.")
    first, last = row.get("first_name", ""), row.get("last_name", "")
    if not (first or last) and (name := row.get("name", "")):
        last, _, first = (part.strip() for part in name.partition(",")) if "," in name else _split(name)
    number = re.search(r"\d+$", row.get("moodle_id", ""))
    return Student(
        student_id,
        first,
        last,
        row.get("email", ""),
        row.get("canvas_id", ""),
        number.group() if number else "",
        row.get("submitted", ""),
    )


def _split(name: str) -> tuple[str, str, str]:
    """Last name, space, first name of a full name in one piece: the last word is taken for the last name."""
    first, space, last = name.strip().rpartition(" ")
    return last, space, first


def _once(students: list[Student], path: Path) -> list[Student]:
    seen: set[str] = set()
    for student in students:
        if student.student_id.casefold() in seen:
            raise CourseError(f"The roster {path} has {student.student_id} twice.")
        seen.add(student.student_id.casefold())
    return students
