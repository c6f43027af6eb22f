"""nbgrader's gradebook: enter a unit's source, write one judged submission, feedback pages, and the export. Only the coordinator comes here."""

import contextlib
import hashlib
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearSolutions
from nbgrader.utils import parse_utc
from traitlets.config.loader import PyFileConfigLoader

from posttrain_lab.grading.course import CHECK_PREFIX, CONFIG, WHERE, CourseError, read_notebook
from posttrain_lab.grading.exports import GradesExport, score_of
from posttrain_lab.grading.lateness import days_used_before, penalty
from posttrain_lab.grading.one_gradebook import one_gradebook
from posttrain_lab.grading.sanitize import gradebook_cells
from posttrain_lab.grading.settings import FILE, read_settings

EXPORT = "grades.csv"
NO_TAGS = str.maketrans("<>", "\u2039\u203a")  # formgrader shows a name as HTML
WRITTEN = ["nbgrader.preprocessors.OverwriteKernelspec", "nbgrader.preprocessors.OverwriteCells"]
SAVED = [
    "nbgrader.preprocessors.LimitOutput",
    "posttrain_lab.grading.save_at_once.SaveAtOnce",
    "nbgrader.preprocessors.AssignLatePenalties",
]


class CourseGradebook:
    """One unit in the gradebook of the course in `root`, the folder with nbgrader_config.py. Raises CourseError where there is none.

    `solutions` is the folder with the units' sources, where it is not the course's own; nbgrader_config.py may then lie beside it.
    """

    def __init__(self, root: Path, unit: str, solutions: Path | None = None):
        self.root, self.unit = root.resolve(), unit
        places = [self.root, *([solutions.resolve().parent] if solutions else [])]
        place = next((one for one in places if (one / CONFIG).is_file()), None)
        if place is None:
            raise CourseError(f"There is no {CONFIG} in {self.root}; run this in the folder of the course. {WHERE}")
        self.config: Any = PyFileConfigLoader(CONFIG, path=str(place)).load_config()
        self.config.CourseDirectory.root = str(self.root)
        if solutions:
            self.config.CourseDirectory.source_directory = str(solutions.resolve())
        self.settings = read_settings(self.root)
        self.config.HTMLExporter.template_name = "feedback"

    def folder(self, student: str = "*", **settings: str) -> CourseDirectory:
        """nbgrader's description of the course, for one student of this unit."""
        made = CourseDirectory(config=self.config, assignment_id=self.unit, student_id=student)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    def base(self) -> Any:
        """nbgrader's Gradebook, a context manager (its types are SQLAlchemy's columns, so they tell nothing)."""
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
        if known is None or again:
            self._generate()
        elif _essence(now := self._as_entered()) != _essence(known):
            raise CourseError(
                f"The source of {self.unit}, or its points in {FILE}, have changed since they were entered in the gradebook "
                f"({_changed(known, now)}); give --regrade to enter them again and to grade everyone by them."
            )
        with self.base() as base:
            base.update_or_create_assignment(self.unit, duedate=self.settings.unit(self.unit).due)

    def _as_entered(self) -> dict[str, Any]:
        """The source's cells as nbgrader enters them: without the solutions."""
        notebook, _ = ClearSolutions(config=self.config).preprocess(self._source(), ResourcesDict())
        return _graded(notebook)

    def _generate(self) -> None:
        """Let nbgrader enter the source, with the points of grading.toml."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "source" / self.unit
            folder.mkdir(parents=True)
            nbformat.write(self._source(), folder / f"{self.unit}.ipynb")
            places = {"source_directory": str(folder.parent), "release_directory": str(Path(name) / "release")}
            if error := run(GenerateAssignment, self.folder(**places)):
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

    @property
    def source(self) -> Path:
        """The unit's notebook with the solutions."""
        return self.root / self.config.CourseDirectory.get("source_directory", "source") / self.unit / f"{self.unit}.ipynb"

    def _source(self) -> NotebookNode:
        """The notebook with the solutions, and the points of grading.toml. Raises CourseError."""
        if not self.source.is_file():
            raise CourseError(f"There is no {self.source}. {WHERE}")
        notebook, wanted = read_notebook(self.source), dict(self.settings.unit(self.unit).points)
        for name, cell in _graded(notebook).items():
            if "points" in cell.metadata.nbgrader:
                given = cell.metadata.nbgrader.points
                cell.metadata.nbgrader.points = wanted.pop(name.removeprefix(CHECK_PREFIX), given)
        if wanted:
            raise CourseError(f"{FILE} has points for {', '.join(wanted)}, which is no exercise of {self.unit}.")
        return notebook

    def save(self, student: str, notebook: str) -> str:
        """Write a judged notebook to autograded/ and its points to the gradebook; empty, or what stopped nbgrader."""
        with tempfile.TemporaryDirectory() as name:
            place = Path(name) / student / self.unit
            place.mkdir(parents=True)
            (place / f"{self.unit}.ipynb").write_text(notebook, encoding="utf-8")
            folder = self.folder(student, submitted_directory=name)
            config: Any = self.config.copy()
            config.Autograde.update(sanitize_preprocessors=WRITTEN, autograde_preprocessors=SAVED)
            config.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
            return run(Autograde, folder, config)

    def settle(self, student: str, time: str) -> bool:
        """Note when the student handed in, their extra time, and what being late costs, as grading.toml says now; is it another cost?"""
        extra = self.settings.extra_time.get(student) if self.settings.unit(self.unit).due else None
        with self.base() as base:
            submission = base.find_submission(self.unit, student)
            submission.timestamp = parse_utc(time) if time else None
            base.grant_extension(self.unit, student, minutes=extra.total_seconds() / 60 if extra else 0)
            used, before = days_used_before(base, student, self.unit), submission.late_submission_penalty or 0.0
            for notebook in submission.notebooks:
                lost = penalty(self.settings, notebook.score, submission.total_seconds_late, used)
                notebook.late_submission_penalty = lost or None
            base.db.commit()
            return abs(before - (submission.late_submission_penalty or 0.0)) > 1e-9

    def add_students(self, students: Iterable[Any]) -> None:
        """Enter these students of a roster, or what is new about them."""
        with self.base() as base:
            for one in students:
                about = {
                    "first_name": one.first_name,
                    "last_name": one.last_name,
                    "email": one.email,
                    "lms_user_id": one.canvas_id,
                }
                base.update_or_create_student(
                    one.student_id, **{what: text.translate(NO_TAGS)[:128] for what, text in about.items() if text}
                )

    def score(self, student: str) -> float | None:
        """The score in the gradebook, less what being late costs, or None."""
        with self.base() as base, contextlib.suppress(MissingEntry):
            return score_of(base.find_submission(self.unit, student))
        return None

    def max_score(self) -> float:
        with self.base() as base:
            return float(base.find_assignment(self.unit).max_score or 0)

    def feedback(self, student: str = "*") -> str:
        """Write the feedback pages; empty, or the reason."""
        return run(GenerateFeedback, self.folder(student))

    def export(self) -> Path:
        """Write the whole gradebook to grades.csv."""
        path = self.root / EXPORT
        with self.base() as base:
            GradesExport(to=str(path)).export(base)
        return path


@contextlib.contextmanager
def nbgrader_tools() -> Iterator[None]:
    """nbgrader changes the working directory, and opens its gradebook again and again: correct both."""
    folder = Path.cwd()
    try:
        with one_gradebook():
            yield
    finally:
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


def _graded(notebook: NotebookNode) -> dict[str, Any]:
    """The cells that nbgrader knows, by grade_id."""
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


def _essence(cells: dict[str, Any]) -> dict[str, Any]:
    """What counts of cells as they are entered: points and text, that of released exercises too."""
    return {name: [float(c.metadata.nbgrader.get("points") or 0), c.source.strip()] for name, c in cells.items()}


def _changed(known: dict[str, Any], now: dict[str, Any]) -> str:
    before, after = _essence(known), _essence(now)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
