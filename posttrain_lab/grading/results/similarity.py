"""A folder in which tools for finding copies can look: similarity/UNIT/, with what each student wrote, and the released code beside it.

The kit finds no copies itself. compare50 and copydetect read this folder, as JPlag and Dolos do; compare50 pins old versions of packages
that nbgrader needs in new ones (attrs 20), so it is run in an environment of its own, by pipx or uvx.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from posttrain_lab.grading.course import CourseError, read_notebook
from posttrain_lab.grading.gradebook import CourseGradebook
from posttrain_lab.whole_files import write_whole

FOLDER = "similarity"
COMMANDS = """# Who has whose answers?

`submissions/STUDENT/{unit}.py` is what each student wrote, `base/{unit}.py` what everybody was given. In this folder, one of:

    pipx run compare50 submissions/* -d base/* -o report
    java -jar jplag.jar -l python3 -bc base submissions
    dolos run -l python -i base/{unit}.py submissions/*/{unit}.py

Short exercises have few right answers: look at long matches, and at odd ones that only two share, before you ask anybody.
"""


def write_folder(unit: str, root: Path | None = None) -> Path:
    """Write similarity/UNIT/ from the graded notebooks. Raises CourseError when nothing is graded."""
    book = CourseGradebook(root or Path.cwd(), unit)
    known = book.known()
    folder = book.root / FOLDER / unit
    shutil.rmtree(folder, ignore_errors=True)
    students = book.students("autograded")
    given = [cell for cell in known.values() if cell.metadata.nbgrader.solution and cell.cell_type == "code"]
    _written(folder / "base" / f"{unit}.py", given)
    released = {cell.source.strip() for cell in _released(book)}
    for student in students:
        notebook = read_notebook(book.root / "autograded" / student / unit / f"{unit}.ipynb")
        own = [cell for cell in notebook.cells if _is_own(cell, released)]
        _written(folder / "submissions" / student / f"{unit}.py", own)
    write_whole(folder / "README.md", COMMANDS.format(unit=unit))
    return folder


def _is_own(cell: NotebookNode, released: set[str]) -> bool:
    """Code that the student wrote or could have written: no locked cell, and none that everybody was given."""
    data = cell.metadata.get("nbgrader", {})
    if cell.cell_type != "code" or data.get("locked"):
        return False
    return bool(data.get("solution")) or cell.source.strip() not in released


def _released(book: CourseGradebook) -> Iterable[NotebookNode]:
    """The cells of the source that are given to everybody as they are: setup and figures."""
    try:
        cells = read_notebook(book.source).cells
    except CourseError:
        return []
    return [cell for cell in cells if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("solution")]


def _written(path: Path, cells: Iterable[NotebookNode]) -> None:
    """The cells as one Python file; lines that are IPython's alone are made comments."""
    lines = [
        f"# {line}" if line.lstrip().startswith(("%", "!")) else line
        for cell in cells
        for line in [*cell.source.splitlines(), "", ""]
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "\n".join(lines))
