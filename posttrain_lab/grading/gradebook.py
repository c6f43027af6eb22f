"""nbgrader's gradebook: enter a unit's source, write one judged submission, feedback pages, and the export. Only the coordinator comes here."""

import contextlib
import csv
import hashlib
import io
import json
import logging
import os
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import CsvExportPlugin
from traitlets.config.loader import PyFileConfigLoader

from posttrain_lab.grading.course import CONFIG, CourseError, read_notebook
from posttrain_lab.grading.sanitize import gradebook_cells

EXPORT = "grades.csv"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is run as a formula by spreadsheets
WRITTEN = ["nbgrader.preprocessors.OverwriteKernelspec", "nbgrader.preprocessors.OverwriteCells"]
SAVED = [
    "nbgrader.preprocessors.LimitOutput",
    "posttrain_lab.grading.save_at_once.SaveAtOnce",
    "nbgrader.preprocessors.AssignLatePenalties",
]


class CourseGradebook:
    """One unit in the gradebook of the course in `root`, the folder with nbgrader_config.py. Raises CourseError where there is none."""

    def __init__(self, root: Path, unit: str):
        self.root, self.unit = root.resolve(), unit
        if not (self.root / CONFIG).is_file():
            raise CourseError(f"There is no {CONFIG} in {self.root}; run this in the folder of the course.")
        self.config: Any = PyFileConfigLoader(CONFIG, path=str(self.root)).load_config()
        self.config.CourseDirectory.root = str(self.root)
        self.config.HTMLExporter.template_name = "feedback"

    def folder(self, student: str = "*", **settings: str) -> CourseDirectory:
        """nbgrader's description of the course, for one student of this unit."""
        made = CourseDirectory(config=self.config, assignment_id=self.unit, student_id=student)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    def base(self) -> Gradebook:
        folder = CourseDirectory(config=self.config)
        return Gradebook(folder.db_url, folder.course_id)

    def students(self, step: str = "submitted") -> list[str]:
        """The students with a folder for the unit. Raises CourseError when there is none."""
        found = sorted(
            path.parent.name for path in (self.root / step).glob(f"*/{self.unit}") if path.is_dir() or path.is_symlink()
        )
        if not found:
            raise CourseError(f"There is no {step}/<student>/{self.unit}/{self.unit}.ipynb here; put submissions there first.")
        return found

    def enter(self, again: bool) -> None:
        """Enter the unit's cells and points from its source, once. Raises CourseError when the source has changed since, unless `again`."""
        known = self._known_or_none()
        if known is not None and not again:
            if (now := _essence(self._source())) != _essence(known):
                raise CourseError(
                    f"The source of {self.unit} has changed since it was entered in the gradebook ({_changed(known, now)}); "
                    "give --regrade to enter it again and to grade everyone by it."
                )
            return
        with tempfile.TemporaryDirectory() as name:
            if error := run(GenerateAssignment, self.folder(release_directory=name)):
                raise CourseError(f"nbgrader cannot read solutions/{self.unit}: {error}; run `posttrain-lab release --check`.")

    def known(self) -> dict[str, Any]:
        """The unit's graded cells, by grade_id."""
        found = self._known_or_none()
        if found is None:
            raise CourseError(f"{self.unit} is not in the gradebook.")
        return found

    def source_hash(self) -> str:
        """What submissions are graded by."""
        return hashlib.sha256(json.dumps(_essence(self.known()), sort_keys=True).encode()).hexdigest()

    def _known_or_none(self) -> dict[str, Any] | None:
        with self.base() as base, contextlib.suppress(MissingEntry):
            return gradebook_cells(base.find_notebook(self.unit, self.unit))
        return None

    def _source(self) -> dict[str, Any]:
        path = self.root / self.config.CourseDirectory.get("source_directory", "source") / self.unit / f"{self.unit}.ipynb"
        return {c.metadata.nbgrader.grade_id: c for c in read_notebook(path).cells if "nbgrader" in c.metadata}

    def save(self, student: str, notebook: str) -> str:
        """Write a judged notebook to autograded/ and its points to the gradebook; empty, or what stopped nbgrader."""
        with tempfile.TemporaryDirectory() as name:
            place = Path(name) / student / self.unit
            place.mkdir(parents=True)
            (place / f"{self.unit}.ipynb").write_text(notebook, encoding="utf-8")
            stamp = self.root / "submitted" / student / self.unit / "timestamp.txt"
            if text := _time_of(stamp):
                (place / "timestamp.txt").write_text(text, encoding="utf-8")
            folder = self.folder(student, submitted_directory=name)
            config: Any = self.config.copy()
            config.Autograde.update(sanitize_preprocessors=WRITTEN, autograde_preprocessors=SAVED)
            config.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
            return run(Autograde, folder, config)

    def score(self, student: str) -> float | None:
        """The score in the gradebook, or None."""
        with self.base() as base, contextlib.suppress(MissingEntry):
            return float(base.find_submission(self.unit, student).score or 0)
        return None

    def max_score(self) -> float:
        with self.base() as base:
            return float(base.find_assignment(self.unit).max_score or 0)

    def feedback(self, student: str = "*") -> str:
        """Write the feedback pages; empty, or the reason."""
        return run(GenerateFeedback, self.folder(student))

    def export(self) -> Path:
        """Write the whole gradebook to grades.csv; a cell that a spreadsheet would run gets a quote before it."""
        path = self.root / EXPORT
        with self.base() as base:
            CsvExportPlugin(to=str(path)).export(base)
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([[safe_cell(cell) for cell in row] for row in rows])
        return path


def safe_cell(text: str) -> str:
    """The text, not a formula.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell("-1.5"), safe_cell("Ann")
    ("'=HYPERLINK(1)", '-1.5', 'Ann')
    """
    if not text.startswith(FORMULA):
        return text
    with contextlib.suppress(ValueError):
        float(text)
        return text
    return f"'{text}"


@contextlib.contextmanager
def nbgrader_tools() -> Iterator[None]:
    """nbgrader changes the working directory, and runs `alembic` from the PATH, which may not contain it: correct both."""
    path, folder = os.environ.get("PATH", ""), Path.cwd()
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), path])
    try:
        yield
    finally:
        os.environ["PATH"] = path
        os.chdir(folder)


def run(converter: Any, folder: CourseDirectory, config: Any = None) -> str:
    """Run one of nbgrader's converters; empty if it succeeded, else the reason. Ctrl-C is not caught."""
    log = io.StringIO()
    app = converter(coursedir=folder, config=config or folder.config)
    app.force = True
    app.log = logging.Logger(converter.__name__, logging.INFO)
    app.log.addHandler(logging.StreamHandler(log))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbgrader's and nbconvert's own
            app.start()
    except Exception as error:
        return _reason(log.getvalue()) or f"{type(error).__name__}: {error}"
    return ""


def _reason(log: str) -> str:
    """The first line of nbgrader's log that names an error with its message."""
    lines = (line.strip() for line in log.splitlines())
    return next((line for line in lines if ("Error: " in line or "Exception: " in line or "Fault: " in line)), "")


def _essence(cells: dict[str, Any]) -> dict[str, Any]:
    """What counts of graded cells: points, and the text where it is not the student's to write (the gradebook has no solutions)."""
    return {
        name: [float(c.metadata.nbgrader.get("points") or 0), "" if c.metadata.nbgrader.get("solution") else c.source.strip()]
        for name, c in cells.items()
    }


def _changed(known: dict[str, Any], now: dict[str, Any]) -> str:
    before = _essence(known)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"


def _time_of(stamp: Path) -> str:
    """The time of submission, if the file holds one; a bad one does not stop the grading."""
    from nbgrader.utils import parse_utc

    try:
        text = stamp.read_text(encoding="utf-8").strip()[:100] if stamp.is_file() and not stamp.is_symlink() else ""
        return text if text and parse_utc(text) else ""
    except (ValueError, OSError, OverflowError):
        return ""
