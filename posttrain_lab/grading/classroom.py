"""Grade a class: nbgrader's autograding and feedback for every submission of a unit, one student at a time, and its export.

A thin layer over nbgrader, with the settings of nbgrader_config.py. A submission that cannot be graded is reported, and
the others are still graded.
"""

import contextlib
import io
import logging
import os
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import CsvExportPlugin
from traitlets.config.loader import PyFileConfigLoader

from posttrain_lab.grading.course import CONFIG, CourseError

EXPORT = "grades.csv"


@dataclass(frozen=True)
class Graded:
    """One student's result: the score of the unit, or what stopped nbgrader."""

    student: str
    score: float
    max_score: float
    error: str = ""


@dataclass(frozen=True)
class GradeReport:
    """What `grade` did: a row for each student, and the file with the whole gradebook."""

    unit: str
    rows: tuple[Graded, ...]
    csv: Path


def grade(
    unit: str, root: Path | None = None, force: bool = True, progress: Callable[[Graded], None] | None = None
) -> GradeReport:
    """What is each student's score? Autograde submitted/<student>/<unit>/ and write the gradebook to grades.csv.

    `root` is the folder with nbgrader_config.py (default: the current folder); without `force` only new submissions are graded;
    `progress` is called with each student's result. Raises CourseError when there is nothing to grade or the unit's source cannot be
    read.
    """
    config = _config(root)
    students = _students(config, unit)
    rows: list[Graded] = []
    with _nbgrader_tools():
        _ensure_assignment(config, unit)
        for student in students:
            error = _run(Autograde, _with(config, unit, student), force)
            rows.append(_row(config, unit, student, error))
            if progress is not None:
                progress(rows[-1])
        csv = Path(config.CourseDirectory.root) / EXPORT
        with _gradebook(config) as gradebook:
            CsvExportPlugin(to=str(csv)).export(gradebook)
    return GradeReport(unit, tuple(rows), csv)


def feedback(unit: str, root: Path | None = None) -> dict[str, str]:
    """Write feedback/<student>/<unit>/*.html for every graded submission; for each student the error, or an empty text."""
    config = _config(root)
    students = _students(config, unit, "autograded")
    with _nbgrader_tools():
        return {student: _run(GenerateFeedback, _with(config, unit, student), True) for student in students}


def _config(root: Path | None) -> Any:
    folder = (root or Path.cwd()).resolve()
    if not (folder / CONFIG).is_file():
        raise CourseError(f"There is no {CONFIG} in {folder}; run this in the folder of the course.")
    config = PyFileConfigLoader(CONFIG, path=str(folder)).load_config()
    config.CourseDirectory.root = str(folder)
    config.HTMLExporter.template_name = "feedback"
    return config


def _with(config: Any, unit: str, student: str = "*") -> CourseDirectory:
    return CourseDirectory(config=config, assignment_id=unit, student_id=student)


def _students(config: Any, unit: str, step: str = "submitted") -> list[str]:
    folder = Path(config.CourseDirectory.root) / step
    found = sorted(path.parent.name for path in folder.glob(f"*/{unit}") if path.is_dir())
    if not found:
        raise CourseError(f"There is no {step}/<student>/{unit}/{unit}.ipynb here; put submissions there first.")
    return found


@contextlib.contextmanager
def _nbgrader_tools() -> Iterator[None]:
    """nbgrader changes the working directory, and runs `alembic` from the PATH, which may not contain it: correct both."""
    path, folder = os.environ.get("PATH", ""), Path.cwd()
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), path])
    try:
        yield
    finally:
        os.environ["PATH"] = path
        os.chdir(folder)


def _gradebook(config: Any) -> Gradebook:
    folder = CourseDirectory(config=config)
    return Gradebook(folder.db_url, folder.course_id)


def _ensure_assignment(config: Any, unit: str) -> None:
    """Enter a unit's cells and points from its source into the gradebook, once; course/ is not changed."""
    with _gradebook(config) as gradebook, contextlib.suppress(MissingEntry):
        gradebook.find_notebook(unit, unit)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = _with(config, unit)
        folder.release_directory = name
        if error := _run(GenerateAssignment, folder, True):
            raise CourseError(f"nbgrader cannot read solutions/{unit}: {error}; run `posttrain-lab release --check`.")


def _run(converter: Any, folder: CourseDirectory, force: bool) -> str:
    """Run one of nbgrader's converters; empty if it succeeded, else the reason. Ctrl-C is not caught."""
    log = io.StringIO()
    app = converter(coursedir=folder, config=folder.config)
    app.force = force
    app.log = logging.Logger(converter.__name__, logging.INFO)
    app.log.addHandler(logging.StreamHandler(log))
    try:
        app.start()
    except Exception as error:
        return _reason(log.getvalue()) or f"{type(error).__name__}: {error}"
    return ""


def _reason(log: str) -> str:
    """The first line of nbgrader's log that names an error with its message."""
    lines = (line.strip() for line in log.splitlines())
    return next((line for line in lines if ("Error: " in line or "Exception: " in line or "Fault: " in line)), "")


def _row(config: Any, unit: str, student: str, error: str) -> Graded:
    with _gradebook(config) as gradebook:
        maximum = float(gradebook.find_assignment(unit).max_score or 0)
        try:
            return Graded(student, float(gradebook.find_submission(unit, student).score or 0), maximum, error)
        except MissingEntry:
            return Graded(student, 0.0, maximum, error)
