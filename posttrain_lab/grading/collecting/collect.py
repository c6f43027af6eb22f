"""Put what students handed in, as their learning platform gives it out, into submitted/STUDENT/UNIT/.

The source is never changed. A notebook gets the unit's name, and is repaired where that is harmless. What cannot be taken is kept in
mind as "needs attention" with its reason: `grade`, the class report and the exports name it, and nobody gets a plain 0 for it.
Earlier attempts stay in .posttrain_lab/attempts/, see `attempts.py`.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from posttrain_lab.grading.attempts import place
from posttrain_lab.grading.collecting.archives import File, files_of
from posttrain_lab.grading.collecting.look import Reader
from posttrain_lab.grading.collecting.platforms import EXCHANGE, Owner, owner_of
from posttrain_lab.grading.collecting.roster import Roster, read_roster
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.gradebook import CourseGradebook, nbgrader_tools
from posttrain_lab.grading.intake import MOST_BYTES, MOST_FILES, MOST_FOLDERS, NeedsAttention
from posttrain_lab.grading.jobs import Jobs, only_run
from posttrain_lab.grading.times import STAMP, time_of

ROSTER = "roster.csv"
LATE = "Canvas marks it late, and does not say by how much: put the time into the roster's column `submitted`"
ANONYMOUS = "is not in the roster; add a line, or a column with what the platform calls them ({})"


@dataclass(frozen=True)
class Collected:
    """What became of one submission: `state` is new, newer, older, same or needs attention; `remark` says what was repaired, or why."""

    student: str
    state: str
    remark: str = ""


@dataclass(frozen=True)
class Collection:
    """What `collect` did: a row for each submission, and the students of the roster who handed in nothing."""

    unit: str
    rows: tuple[Collected, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Attempt:
    """The files that one student handed in at one time."""

    owner: Owner
    files: tuple[tuple[tuple[str, ...], File], ...]


def collect(
    unit: str,
    source: Path,
    root: Path | None = None,
    roster: Path | None = None,
    progress: Callable[[Collected], object] | None = None,
) -> Collection:
    """Who handed in what? Take a unit's notebooks out of a zip or a folder; `root` is the folder with nbgrader_config.py.

    `roster` is a CSV of the class (default: roster.csv in the course, if there is one), needed for Moodle's and Canvas's zips.
    Raises CourseError when the source or the roster cannot be used.
    """
    book = CourseGradebook(root or Path.cwd(), unit)
    source = source / "inbound" if (source / "inbound").is_dir() else source
    roster = roster or (book.root / ROSTER if (book.root / ROSTER).is_file() else None)
    known = read_roster(roster) if roster else None
    attempts, rows = _attempts(files_of(source), unit, known)
    with only_run(book.root), nbgrader_tools(), Jobs(book.root) as jobs, Reader() as reader:
        book.add_students(known.students if known else [attempt.owner.student for attempt in attempts if attempt.owner.student])
        for attempt in attempts:
            row = _taken(book, attempt, source, reader)
            if attempt.owner.student:
                jobs.refuse(unit, row.student, row.remark if row.state == "needs attention" else "")
            rows.append(row)
            (progress or (lambda _: None))(row)
    if not rows:
        raise CourseError(f"There is no submission of {unit} in {source}.")
    there = {row.student for row in rows}
    missing = [student.student_id for student in known.students if student.student_id not in there] if known else []
    return Collection(unit, tuple(rows), tuple(missing))


def _attempts(files: Iterable[File], unit: str, roster: Roster | None) -> tuple[list[_Attempt], list[Collected]]:
    """The files by whose they are and when they were handed in, the earliest first; and a row for what belongs to nobody."""
    found: dict[tuple[str, str], list[tuple[Owner, File]]] = {}
    rows: list[Collected] = []
    for file in files:
        if file.parts == ("?",):
            rows.append(Collected("?", "needs attention", file.refused))
        elif owner := owner_of(file, unit, roster):
            who = f" {owner.student.student_id}" if owner.student else owner.called
            found.setdefault((who, owner.attempt), []).append((owner, file))
    made = []
    for _, pieces in sorted(found.items()):
        owner, files_of_one = pieces[0][0], [(one.path, file) for one, file in pieces if not one.typed]
        time = owner.time or (owner.student.submitted if owner.student else "")
        late = any(one.late for one, _ in pieces)
        made.append(_Attempt(replace(owner, time=time, late=late), tuple(files_of_one)))
    return made, rows


def _taken(book: CourseGradebook, attempt: _Attempt, source: Path, reader: Reader) -> Collected:
    """Read one attempt and put it where it belongs."""
    owner = attempt.owner
    if owner.student is None:
        return Collected(owner.called, "needs attention", ANONYMOUS.format(owner.called))
    name = owner.student.student_id
    try:
        _require_owner(book, source, attempt)
        contents = _contents(attempt)
    except NeedsAttention as reason:
        return Collected(name, "needs attention", str(reason))
    contents, remarks, problem = _readable(contents, book.unit, reader)
    if stamp := time_of(owner.time):
        contents[(STAMP,)] = stamp.encode()
    elif owner.late:
        remarks.append(LATE)
    state = place(book.root, name, book.unit, contents)
    return Collected(name, "needs attention", problem) if problem else Collected(name, state, "; ".join(remarks))


def _contents(attempt: _Attempt) -> dict[tuple[str, ...], bytes]:
    """The bytes of all files, by path. Raises NeedsAttention."""
    files = attempt.files
    if not files:
        raise NeedsAttention("they wrote a text online, and handed in no notebook.")
    if reason := next((file.refused for _, file in files if file.refused), ""):
        raise NeedsAttention(reason)
    if len(files) > MOST_FILES or sum(file.size for _, file in files) > MOST_BYTES:
        raise NeedsAttention(f"it has more than {MOST_FILES} files or {MOST_BYTES // 2**20} MB; ask for the notebook only.")
    found: dict[tuple[str, ...], bytes] = {}
    for path, file in files:
        if not path or len(path) > MOST_FOLDERS:
            raise NeedsAttention(f"{'/'.join(file.parts)} is no file, or in too deep a folder.")
        if any("/".join(path).casefold() == "/".join(other).casefold() for other in found):
            raise NeedsAttention(f"it has two files called {'/'.join(path)}; ask which one counts.")
        found[path] = file.read()
    if sum(map(len, found.values())) > MOST_BYTES:
        raise NeedsAttention(f"it has more than {MOST_BYTES // 2**20} MB; ask for the notebook only.")
    found.pop((STAMP,), None)  # the platform knows when it was handed in; a file that the student wrote does not
    return found


def _readable(
    contents: dict[tuple[str, ...], bytes], unit: str, reader: Reader
) -> tuple[dict[tuple[str, ...], bytes], list[str], str]:
    """The same with the notebook under the unit's name and repaired; the repairs; and why it cannot be read, or an empty text."""
    wanted = (f"{unit}.ipynb",)
    books = [path for path in contents if path[-1].endswith(".ipynb")]
    if wanted not in books and len(books) != 1:
        what = f"{len(books)} notebooks ({', '.join('/'.join(path) for path in books[:5])})" if books else "no notebook"
        return contents, [], f"it has {what}; one named {wanted[0]} is wanted."
    book = wanted if wanted in books else books[0]
    try:
        repaired, remarks = reader.read(contents[book], "/".join(book))
    except NeedsAttention as reason:
        return contents, [], str(reason)
    if book != wanted:
        remarks = [f"{'/'.join(book)} was taken for {wanted[0]}", *remarks]
    return {**{path: raw for path, raw in contents.items() if path != book}, wanted: repaired}, remarks, ""


def _require_owner(book: CourseGradebook, source: Path, attempt: _Attempt) -> None:
    """In nbgrader's exchange anybody may make a folder with another's name: it must belong to the one it names, as nbgrader warns."""
    top = attempt.files[0][1].parts[0] if attempt.files else ""
    if not (EXCHANGE.fullmatch(top) and source.is_dir() and book.config.ExchangeCollect.get("check_owner", True)):
        return
    with contextlib.suppress(ImportError, OSError):
        import pwd

        uid = (source / top).lstat().st_uid
        with contextlib.suppress(KeyError):
            if (name := pwd.getpwuid(uid).pw_name) == attempt.owner.called:
                return
            uid = name
        raise NeedsAttention(
            f"its folder in the exchange says {attempt.owner.called}, and belongs to {uid}; ask both. Where all students are one user "
            "(containers), set c.ExchangeCollect.check_owner = False in nbgrader_config.py."
        )
