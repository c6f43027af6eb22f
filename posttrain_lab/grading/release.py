"""Generate the student's course and README's table of units from the sources, or say which file is out of date.

It uses nbgrader's own `generate_assignment`, without its database and in a temporary folder: when it fails, course/ is
not changed. The pairing with the percent twin is removed, and each file is replaced whole or not at all.
"""

import contextlib
import importlib
import importlib.util
import json
import logging
import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from posttrain_lab import units
from posttrain_lab.grading.course import CONFIG, Course, CourseError, find_course, read_notebook, title
from posttrain_lab.grading.overview import INDEX, index_page, way_on, with_table
from posttrain_lab.whole_files import write_whole

WAY_ON = "other_units"
IGNORED = {".ipynb_checkpoints", "__pycache__"}
MADE = "my_*"  # what a unit's notebook writes beside itself


@dataclass(frozen=True)
class Difference:
    """One file, its path from course/, that is not as the release generates it; `what` is `differs`, `missing` or `unexpected`."""

    path: str
    what: str
    line: int = 0

    def __str__(self) -> str:
        where = f" from line {self.line} on" if self.line else ""
        return f"{posixpath.normpath(f'course/{self.path}')} {self.what if self.what == 'differs' else 'is ' + self.what}{where}"


@dataclass(frozen=True)
class Release:
    """The files of a release (`files`), those that it wrote now (`written`), and the differences."""

    files: tuple[str, ...]
    written: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.differences

    @property
    def message(self) -> str:
        """One sentence: all is well, or every file that is not, and the remedy."""
        if self.passed:
            return f"course/ is up to date: {len(self.files)} files, {len(self.written)} of them written now."
        found = "; ".join(str(difference) for difference in self.differences)
        kinds = {difference.what for difference in self.differences}
        remedy = "remove what is unexpected" if kinds == {"unexpected"} else "run `posttrain-lab release`"
        return f"{found}: {remedy}."


def release(check: bool = False, course: Course | None = None) -> Release:
    """Is course/ up to date with the solutions? With `check` only compare, byte for byte; without, write what differs.

    Files in course/ that are not part of a release are reported, never deleted: they may be somebody's work.
    Raises CourseError when a source cannot be released; course/ is then not changed.
    """
    course = course or find_course()
    course.sources()
    files = student_files(course)
    found = [difference for path, wanted in files.items() if (difference := _compare(course.course, path, wanted))]
    unexpected = [Difference(path, "unexpected") for path in _present(course.course) if path not in files]
    if check:
        return Release(tuple(files), differences=tuple(found + unexpected))
    for difference in found:
        path = course.course / difference.path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, files[difference.path])
    return Release(tuple(files), tuple(difference.path for difference in found), tuple(unexpected))


def student_files(course: Course) -> dict[str, bytes]:
    """Every file of course/, and README.md beside it, as generated from the current sources, by the path from course/ with forward slashes."""
    files: dict[str, bytes] = {}
    if importlib.util.find_spec("posttrain_lab.glossary"):
        glossary = importlib.import_module("posttrain_lab.glossary")
        files["glossary.md"] = _lines(glossary.markdown()).encode()
    for unit in course.units():
        with _generated(course, unit) as folder:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = f"{unit}/{path.relative_to(folder).as_posix()}"
                files[name] = _student_bytes(path) if path.suffix == ".ipynb" else path.read_bytes()
    files[INDEX] = index_page(course.units()).encode()
    if (course.root / "README.md").is_file():
        text = (course.root / "README.md").read_text(encoding="utf-8")
        files["../README.md"] = with_table(text, course.units()).encode()
    return dict(sorted(files.items()))


def student_notebook(course: Course, unit: str) -> NotebookNode:
    """The notebook that a student of this unit gets, generated from the current source."""
    with _generated(course, unit) as folder:
        return read_notebook(folder / f"{unit}.ipynb")


@contextlib.contextmanager
def _generated(course: Course, unit: str) -> Iterator[Path]:
    """nbgrader's release of one unit, in a folder that exists as long as the context."""
    _require_ids(course.source(unit))
    _require_heading(course.source(unit), units.find(unit).heading)
    with tempfile.TemporaryDirectory() as name, _working_directory():
        folder = Path(name).resolve()
        ignore = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__", "*.py", "artefacts", MADE)
        shutil.copytree(course.sources() / unit, folder / "solutions" / unit, ignore=ignore)
        _run_nbgrader(course, unit, folder)
        _add_way_on(folder / "course" / unit / f"{unit}.ipynb", course.units(), unit)
        yield folder / "course" / unit


def _add_way_on(path: Path, folders: tuple[str, ...], unit: str) -> None:
    """One more cell, the last, with links to the other units; nbgrader does not know it, so nothing is graded otherwise."""
    notebook = read_notebook(path)
    notebook.cells.append(nbformat.v4.new_markdown_cell(way_on(folders, unit), id=WAY_ON))
    nbformat.write(notebook, path)


def _require_ids(path: Path) -> None:
    """Raise unless each cell has an id: else it would get a new random one at each release (nbformat only warns)."""
    try:
        ids = [cell.get("id") for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    except (ValueError, KeyError, AttributeError, TypeError):
        read_notebook(path)  # explains what is wrong with a file that is not a notebook
        raise
    if None in ids or len(set(ids)) < len(ids):
        raise CourseError(f"The cells of {path.name} need ids of their own; open and save it in JupyterLab.")


def _require_heading(path: Path, wanted: str) -> None:
    """The page and the list of units must call a unit the same."""
    if (found := title(read_notebook(path))) != wanted:
        raise CourseError(
            f"{path.name} begins with the heading {found!r}, posttrain_lab/units.py says {wanted!r}; make them the same."
        )


@contextlib.contextmanager
def _working_directory() -> Iterator[None]:
    """nbgrader changes the working directory; restore it, also when it fails."""
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)


def nbgrader_config(course: Course) -> Any:
    """The settings of the course's nbgrader_config.py, as a traitlets Config."""
    from traitlets.config.loader import PyFileConfigLoader

    return PyFileConfigLoader(CONFIG, path=str(course.root)).load_config()


def _run_nbgrader(course: Course, unit: str, folder: Path) -> None:
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.utils import capture_log

    config = nbgrader_config(course)
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.assignment_id = unit
    config.SaveCells.enabled = False
    config.GenerateAssignment.no_database = True
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    converter.log = logging.Logger("release")
    result = capture_log(converter)
    if not result["success"]:
        reason = _reason(str(result.get("log") or result["error"]))
        raise CourseError(f"nbgrader cannot release {unit}: {reason}; correct solutions/{unit}/{unit}.ipynb.")


def _reason(log: str) -> str:
    """The exception that stopped nbgrader, from its log: the last line that names an error."""
    lines = [line.strip() for line in log.splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: .+", line) and "see the" not in line]
    return errors[0].rstrip(".;") if errors else lines[-1]


def _student_bytes(path: Path) -> bytes:
    """The notebook without its pairing to the percent twin and without traces of its execution."""
    notebook = read_notebook(path)
    for key in ("jupytext", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        for key in ("execution", "lines_to_next_cell", "lines_to_end_of_cell_marker"):
            cell.metadata.pop(key, None)
    return _lines(nbformat.writes(notebook)).encode()


def _lines(text: str) -> str:
    return text.rstrip("\n") + "\n"


def _present(folder: Path) -> list[str]:
    """The files that are in course/ now; caches of Jupyter and Python left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not IGNORED.intersection(path.parts))


def _compare(folder: Path, path: str, wanted: bytes) -> Difference | None:
    if not (folder / path).is_file():
        return Difference(path, "missing")
    present = (folder / path).read_bytes()
    if present == wanted:
        return None
    pairs = enumerate(zip(present.splitlines(keepends=True), wanted.splitlines(keepends=True), strict=False), start=1)
    shorter = min(present.count(b"\n"), wanted.count(b"\n"))
    return Difference(path, "differs", next((number for number, (a, b) in pairs if a != b), shorter + 1))
