"""Whose file is it? The names that learning platforms give to the files of a class, as their own sources write them.

- Moodle, mod/assign/classes/downloader.php (mod/assign/locallib.php before 4.1): `FULL NAME_NUMBER_assignsubmission_file/PATH` with
  "Download submissions in folders", else `FULL NAME_NUMBER_assignsubmission_file_NAME`; older versions end the folder with `_`. NUMBER
  is the `Identifier` of the grading worksheet ("Participant NUMBER"); with blind marking the name is "Participant". Text that was
  typed online is `..._assignsubmission_onlinetext/onlinetext.html`.
- Canvas, lib/content_zipper.rb: `NAME_[LATE_]USER_ATTACHMENT_FILE`, NAME being "Last, First" without spaces and marks in lower case,
  USER the `ID` of the gradebook's export; with anonymous grading `[LATE_]anon_LETTERS_ATTACHMENT_FILE`.
- nbgrader, nbgrader/exchange/default/submit.py: the folder `USER+ASSIGNMENT+TIME UTC[+RANDOM]`.
- Anything else: `STUDENT/...` or `STUDENT.ipynb`.
"""

import re
from dataclasses import dataclass

from posttrain_lab.grading.collecting.archives import File
from posttrain_lab.grading.collecting.roster import Roster, Student, safe_student_id

MOODLE = re.compile(r"(?P<name>.+)_(?P<number>\d+)_assignsubmission_(?P<kind>file|onlinetext)_?(?P<file>.*)", re.DOTALL)
CANVAS = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<user>\d+|anon_[A-Za-z0-9]+)_(?P<attachment>\d+)_(?P<file>.+)", re.DOTALL
)
EXCHANGE = re.compile(
    r"(?P<user>.+?)\+(?P<unit>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^+]+?)(?:\+[^+]*)?", re.DOTALL
)


@dataclass(frozen=True)
class Owner:
    """Whose a file is: the student (None when the roster does not tell), what the platform calls them, and the file's path in their
    submission. `attempt` tells apart what was handed in at different times; `time` is empty where the platform does not say."""

    called: str
    student: Student | None
    path: tuple[str, ...]
    attempt: str = ""
    time: str = ""
    late: bool = False
    typed: bool = False


def owner_of(file: File, unit: str, roster: Roster | None) -> Owner | None:
    """The owner by the platform's naming; None for a file of another unit in the exchange."""
    top, rest = file.parts[0], file.parts[1:]
    if found := MOODLE.fullmatch(top):
        path = rest or (found["file"],)
        return Owner(f"{found['name']} ({found['number']})", _of_moodle(found, roster), path, typed=found["kind"] == "onlinetext")
    if found := EXCHANGE.fullmatch(top):
        if found["unit"] != unit:
            return None
        return Owner(found["user"], _known(found["user"], roster), rest, found["time"], found["time"])
    if not rest and (found := CANVAS.fullmatch(top)):
        called = f"{found['name'] or 'anonymous'} ({found['user']})"
        return Owner(called, _of_canvas(found, roster), (found["file"],), late=bool(found["late"]))
    if rest:
        inside = rest[1:] if rest[0] == unit and len(rest) > 1 else rest
        return Owner(top, _known(top, roster), inside)
    name = _without_unit(top.removesuffix(".ipynb"), unit)
    return Owner(name, _known(name, roster), (f"{unit}.ipynb" if top.endswith(".ipynb") else top,))


def _of_moodle(found: re.Match[str], roster: Roster | None) -> Student | None:
    return roster and (roster.find(moodle_id=found["number"]) or roster.find(name=found["name"]))


def _of_canvas(found: re.Match[str], roster: Roster | None) -> Student | None:
    return roster and (roster.find(canvas_id=found["user"]) or roster.find(name=found["name"] or ""))


def _known(name: str, roster: Roster | None) -> Student | None:
    """The student of a folder or a file: by id, e-mail or name; without a roster the name is the id."""
    if roster is None:
        return Student(name) if safe_student_id(name) else None
    return roster.find(student_id=name) or roster.find(email=name) or roster.find(name=name)


def _without_unit(name: str, unit: str) -> str:
    """`ann` of `ann_02_quantization` and of `02_quantization_ann`."""
    return re.sub(rf"^{re.escape(unit)}[ _-]+|[ _-]+{re.escape(unit)}$", "", name)
