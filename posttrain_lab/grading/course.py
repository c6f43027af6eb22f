"""Where is the course, which units does it have, and which cells of a unit's notebook are graded?

In a checkout of the repository the sources are in solutions/ and the student notebooks in course/; an installed wheel
has the student notebooks only, in posttrain_lab/course.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

CONFIG = "nbgrader_config.py"
CHECK_PREFIX = "test_"
WHERE = (
    "An installed package has none: give --solutions DIR, the folder solutions/ of the repository in the same version, or run this in a "
    "checkout of it."
)


class CourseError(ValueError):
    """An error in the course's files; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Course:
    """The folders of one course: `course` has the student notebooks, `solutions` the sources (a wheel has none)."""

    course: Path
    solutions: Path | None = None

    @property
    def root(self) -> Path:
        """The folder of the checkout. Raises CourseError for an installed wheel, which has no sources."""
        return self.sources().parent

    def sources(self) -> Path:
        """The solutions/ folder. Raises CourseError when it does not exist."""
        if self.solutions is None:
            raise CourseError(f"There are no solutions here. {WHERE}")
        return self.solutions

    def units(self) -> tuple[str, ...]:
        """The units in order: folders with a notebook of the same name; from solutions/ if it exists."""
        folder = self.course if self.solutions is None else self.solutions
        found = (path.parent.name for path in folder.glob("*/*.ipynb") if path.stem == path.parent.name)
        return tuple(sorted(found))

    def source(self, unit: str) -> Path:
        """The notebook with the solutions. Raises CourseError when the unit has none."""
        return self._existing(self.sources(), unit)

    def released(self, unit: str) -> Path:
        """The student's notebook. Raises CourseError when the unit has none."""
        return self._existing(self.course, unit)

    def _existing(self, folder: Path, unit: str) -> Path:
        path = folder / unit / f"{unit}.ipynb"
        if not path.is_file():
            known = ", ".join(self.units()) or "none"
            raise CourseError(f"There is no unit {unit!r} in {folder.name}/; the units are: {known}.")
        return path


def find_course(package: Path | None = None, solutions: Path | None = None) -> Course:
    """The course that belongs to this package: of the checkout around it, or the one inside an installed wheel.

    `solutions` is the folder of the sources, where it is another than the checkout's.

    Raises CourseError when neither exists.

    >>> find_course().course.name
    'course'
    """
    package = package or Path(__file__).resolve().parents[1]
    checkout = package.parent
    if solutions:
        if not (solutions.resolve().parent / CONFIG).is_file() or not solutions.is_dir():
            raise CourseError(
                f"{solutions} is no folder solutions/ beside a {CONFIG}; name that of a checkout of the repository."
            )
        return Course(solutions.resolve().parent / "course", solutions.resolve())
    if (checkout / CONFIG).is_file() and (checkout / "solutions").is_dir():
        return Course(checkout / "course", checkout / "solutions")
    if (package / "course").is_dir():
        return Course(package / "course")
    raise CourseError("The course's notebooks are missing from this installation; install posttrain-lab again.")


def read_notebook(path: Path) -> NotebookNode:
    """A notebook file, converted to the current format. Raises CourseError when it is missing or damaged."""
    if not path.is_file():
        raise CourseError(f"There is no notebook {path}; check the name.")
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        kind = type(error).__name__
        raise CourseError(f"{path.name} is not a notebook that can be read ({kind}); restore the file.") from error


@dataclass(frozen=True)
class GradedCell:
    """A cell with nbgrader's metadata: a solution to write, or a check worth points; `place` counts cells from 0."""

    grade_id: str
    place: int
    source: str
    solution: bool
    check: bool
    points: float
    locked: bool


def graded_cells(notebook: NotebookNode) -> list[GradedCell]:
    """All code cells that nbgrader treats as solution or check, in order."""
    return list(_graded(notebook))


def _graded(notebook: NotebookNode) -> Iterator[GradedCell]:
    for place, cell in enumerate(notebook.cells):
        data: dict[str, Any] = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and (data.get("solution") or data.get("grade")):
            yield GradedCell(
                str(data.get("grade_id", "")),
                place,
                cell.source,
                bool(data.get("solution")),
                bool(data.get("grade")),
                float(data.get("points", 0)),
                bool(data.get("locked")),
            )


def setup_sources(notebook: NotebookNode) -> list[str]:
    """The code of the cells tagged `setup`, which the graded cells need."""
    return [c.source for c in notebook.cells if c.cell_type == "code" and "setup" in c.metadata.get("tags", [])]


def title(notebook: NotebookNode) -> str:
    """The first heading of the notebook, without its mark.

    >>> title(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 02 Quantization")]))
    '02 Quantization'
    """
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^#\s+(.+?)\s*$", cell.source, re.MULTILINE)):
            return found.group(1)
    raise CourseError("A notebook needs a first heading (`# ...`) in a text cell; write one.")


def standard_check(unit_module: str, exercise: str, function: str) -> str:
    """The code that every check cell must have, so that a notebook cannot weaken its own check.

    >>> print(standard_check("quantization", "fake_quantize", "FakeQuantize"))
    checks.quantization.fake_quantize(FakeQuantize)
    ### BEGIN HIDDEN TESTS
    checks.quantization.fake_quantize(FakeQuantize, hidden=True)
    ### END HIDDEN TESTS
    """
    call = f"checks.{unit_module}.{exercise}({function}"
    return f"{call})\n### BEGIN HIDDEN TESTS\n{call}, hidden=True)\n### END HIDDEN TESTS"
