"""The gradebook as tables: nbgrader's own columns, and those that Canvas, Moodle and Gradescope name theirs. Export plugins of nbgrader.

`posttrain-lab export UNIT canvas`, or `nbgrader export --exporter=posttrain_lab.grading.exports.CanvasExport`. A cell of a
student without a graded submission is empty (Moodle: `-`), never 0: what a missing submission is worth is the platform's to say.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin
from traitlets import Unicode

from posttrain_lab import units
from posttrain_lab.grading.settings import read_settings
from posttrain_lab.whole_files import csv_text, write_whole

Row = Sequence[object]
FOLDER = "exports"


def score_of(submission: Any) -> float | None:
    """The points less those lost by being late; None when nothing is graded."""
    if submission is None or not submission.notebooks:
        return None
    return max(0.0, float(submission.score or 0) - float(submission.late_submission_penalty or 0))


def points(value: float | None) -> str:
    """A number with two decimals at most, or nothing.

    >>> points(7.0), points(0.1 + 0.2), points(None)
    ('7', '0.3', '')
    """
    return "" if value is None else f"{round(value, 2):g}"


def title_of(unit: str) -> str:
    """What the unit is called on the platform, when nothing else is said."""
    return next((one.name for one in units.UNITS if one.folder == unit), unit)


class GradesExport(ExportPlugin):
    """The columns of nbgrader's own CSV for all units, with names of any kind, and empty where nothing is graded."""

    COLUMNS: ClassVar[Row] = (
        *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
        *("raw_score", "late_submission_penalty", "score", "max_score"),
    )

    def export(self, gradebook: Gradebook) -> None:
        """Write one line for each student of each unit."""
        rows = [self.COLUMNS, *(row for unit in _chosen(self, gradebook) for row in self._rows(gradebook, unit))]
        write_whole(Path(self.to or "grades.csv"), csv_text([["" if cell is None else cell for cell in row] for row in rows]))

    def _rows(self, gradebook: Gradebook, unit: Any) -> Iterator[Row]:
        for student, submission in _of_class(self, gradebook, unit):
            found, score = submission if score_of(submission) is not None else None, score_of(submission)
            about = (
                unit.name,
                unit.duedate,
                found and found.timestamp,
                student.id,
                student.last_name,
                student.first_name,
                student.email,
            )
            yield (*about, found and found.score, found and found.late_submission_penalty, score, unit.max_score)


class PlatformExport(ExportPlugin):
    """One file for each unit: `to` names the file, or the folder when there are several units."""

    PLATFORM: ClassVar[str] = ""
    column = Unicode("", help="What the unit is called on the platform; Canvas finds an assignment by `TITLE (ID)`.").tag(
        config=True
    )

    def export(self, gradebook: Gradebook) -> None:
        """Write the files."""
        chosen = _chosen(self, gradebook)
        if self.to.endswith(".csv") and len(chosen) != 1:
            raise ValueError(f"{self.to} is one file, and there are {len(chosen)} units; name one unit, or a folder.")
        for unit in chosen:
            path = Path(self.to) if self.to.endswith(".csv") else Path(self.to) / f"{self.PLATFORM}_{unit.name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, csv_text(self.rows(gradebook, unit)))

    def rows(self, gradebook: Gradebook, unit: Any) -> Iterator[Row]:
        """The header, and a line for each student."""
        raise NotImplementedError

    def name(self, unit: Any) -> str:
        """The column of the unit."""
        return self.column or title_of(unit.name)


class CanvasExport(PlatformExport):
    """For Canvas: Grades, Import. The columns that lib/gradebook_importer.rb asks for; a student is found by ID (the roster's
    canvas_id), else by login, else by name."""

    PLATFORM = "canvas"
    COLUMNS: ClassVar[Row] = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")

    def rows(self, gradebook: Gradebook, unit: Any) -> Iterator[Row]:
        """A second line tells the points possible, as in Canvas's own export."""
        yield (*self.COLUMNS, self.name(unit))
        yield ("    Points Possible", "", "", "", "", points(unit.max_score))
        for student, submission in _of_class(self, gradebook, unit):
            name = ", ".join(part for part in (student.last_name, student.first_name) if part)
            yield (name, student.lms_user_id or "", "", student.id, "", points(score_of(submission)))


class MoodleExport(PlatformExport):
    """For Moodle: Grades, Import, CSV file; map "Email address" or "Username" to the user, and the last column to the grade item.

    The columns of Moodle's own export (docs.moodle.org, Grade import: "the import file format is the same"); `-` is its word for no grade.
    """

    PLATFORM = "moodle"
    COLUMNS: ClassVar[Row] = ("First name", "Last name", "Username", "Email address")

    def rows(self, gradebook: Gradebook, unit: Any) -> Iterator[Row]:
        """One line for each student."""
        yield (*self.COLUMNS, self.name(unit))
        for student, submission in _of_class(self, gradebook, unit):
            about = (student.first_name or "", student.last_name or "", student.id, student.email or "")
            yield (*about, points(score_of(submission)) or "-")


class GradescopeExport(PlatformExport):
    """The table that Gradescope gives out for an assignment (Review Grades, Download Grades), for gradebooks and scripts that read it;
    Gradescope itself takes no grades from a file. Each exercise has a column `NUMBER: NAME (POINTS pts)`."""

    PLATFORM = "gradescope"
    COLUMNS: ClassVar[Row] = (
        *("First Name", "Last Name", "SID", "Email", "Sections", "Total Score", "Max Points", "Status", "Submission ID"),
        *("Submission Time", "Lateness (H:M:S)", "View Count", "Submission Count"),
    )

    def rows(self, gradebook: Gradebook, unit: Any) -> Iterator[Row]:
        """One line for each student; Status is Graded, Ungraded (a person must mark something) or Missing."""
        cells = [cell for notebook in unit.notebooks for cell in (*notebook.grade_cells, *notebook.task_cells)]
        names = {
            cell.name: f"{n}: {cell.name.removeprefix('test_')} ({points(cell.max_score)} pts)" for n, cell in enumerate(cells, 1)
        }
        yield (*self.COLUMNS, *names.values())
        for student, submission in _of_class(self, gradebook, unit):
            about = (student.first_name or "", student.last_name or "", student.id, student.email or "", "")
            score = score_of(submission)
            if score is None:
                yield (*about, "", points(unit.max_score), "Missing", "", "", "", "", "0", *("" for _ in names))
                continue
            status = "Ungraded" if submission.needs_manual_grade else "Graded"
            late = timedelta(seconds=int(submission.total_seconds_late))
            grades = {grade.name: grade.score for notebook in submission.notebooks for grade in notebook.grades}
            rest = (points(unit.max_score), status, submission.id, submission.timestamp or "", _hours(late), "", "1")
            yield (*about, points(score), *rest, *(points(grades.get(name)) for name in names))


def _hours(time: timedelta) -> str:
    """`26:03:04` for a day, two hours, three minutes and four seconds.

    >>> _hours(timedelta(days=1, hours=2, minutes=3, seconds=4))
    '26:03:04'
    """
    seconds = int(time.total_seconds())
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _chosen(plugin: ExportPlugin, gradebook: Gradebook) -> list[Any]:
    """The units to export. Raises ValueError for one that is not in the gradebook."""
    found: dict[str, Any] = {str(unit.name): unit for unit in gradebook.assignments}
    if unknown := [name for name in plugin.assignment if name not in found]:
        raise ValueError(f"{', '.join(unknown)} is not in the gradebook; there are: {', '.join(found) or 'none'}.")
    return [unit for name, unit in sorted(found.items()) if not plugin.assignment or name in plugin.assignment]


def _of_class(plugin: ExportPlugin, gradebook: Gradebook, unit: Any) -> Iterator[tuple[Any, Any]]:
    """Each student with the submission, or None."""
    wanted = {str(name) for name in plugin.student}
    students: list[Any] = sorted(gradebook.students, key=lambda one: one.id)
    for student in students:
        if wanted and student.id not in wanted:
            continue
        try:
            yield student, gradebook.find_submission(unit.name, student.id)
        except MissingEntry:
            yield student, None


PLUGINS = {plugin.PLATFORM: plugin for plugin in (CanvasExport, MoodleExport, GradescopeExport)}


def rewrite_exports(base: Gradebook, root: Path) -> list[str]:
    """Write the tables in exports/ again, as the gradebook is now; the names of the files."""
    done = []
    for platform, plugin in PLUGINS.items():
        known = {unit.name for unit in base.assignments}
        for path in sorted((root / FOLDER).glob(f"{platform}_*.csv")):
            if (unit := path.stem.removeprefix(f"{platform}_")) in known:
                column = read_settings(root).unit(unit).titles.get(platform, "")
                plugin(to=str(path), assignment=[unit], column=column).export(base)
                done.append(f"{FOLDER}/{path.name}")
    return done


def export_unit(base: Gradebook, root: Path, unit: str, platform: str) -> Path:
    """Write exports/PLATFORM_UNIT.csv. Raises ValueError for an unknown platform, or a unit that is not graded yet."""
    if platform not in PLUGINS:
        raise ValueError(f"There is no export for {platform!r}; there are: {', '.join(PLUGINS)}.")
    path = root / FOLDER / f"{platform}_{unit}.csv"
    column = read_settings(root).unit(unit).titles.get(platform, "")
    PLUGINS[platform](to=str(path), assignment=[unit], column=column).export(base)
    return path
