"""Before grading: the gradebook alone decides which cells are graded; the metadata of a submitted notebook do not count.

Every submitted notebook is built again from its sources and tags. The grading metadata (id, points, locked, solution) of
each cell come from the gradebook; locked cells get the gradebook's text; of two cells with one id the first is graded
and the other becomes plain code; a missing graded cell is added again below its exercise, or at the end. So
duplicated or deleted cells, changed points, ids and checksums neither stop nbgrader (jupyter/nbgrader#1083) nor change
what is graded.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade

HIDDEN = re.compile(r"^.*BEGIN HIDDEN TESTS[\s\S]*?(END HIDDEN TESTS.*\n?|\Z)", re.MULTILINE)
CHECK_PREFIX = "test_"
UNREADABLE = "This file could not be read as a notebook ({}), so nothing in it could be graded."
MAKERS = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}


class TolerantExporter(NotebookExporter):
    """Reads a submitted notebook; a file that is not a notebook becomes an empty one that says so, and is graded as such."""

    def from_file(self, file_stream: Any, resources: Any = None, **kw: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                notebook = nbformat.read(file_stream, as_version=4)
                notebook = new_notebook(cells=_cells(notebook), metadata=_kernel_metadata(notebook))
        except Exception as error:  # damaged JSON, another encoding, another format
            notebook = new_notebook(cells=[new_markdown_cell(UNREADABLE.format(type(error).__name__))])
        return self.from_notebook_node(notebook, resources=resources, **kw)


def _cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [rebuilt(cell) for cell in notebook.cells if isinstance(cell, dict)]


def _kernel_metadata(notebook: NotebookNode) -> dict[str, Any]:
    """The notebook's metadata: only the kernel's name, which nbgrader corrects."""
    spec = notebook.get("metadata", {}).get("kernelspec")
    return {"kernelspec": spec} if isinstance(spec, dict) else {}


def rebuilt(cell: dict[str, Any]) -> NotebookNode:
    """A new cell with the kind, source, tags, nbgrader metadata and outputs of a submitted one, and nothing else."""
    kind = cell.get("cell_type")
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kept: dict[str, Any] = {}
    if isinstance(metadata.get("tags"), list):
        words = [tag for tag in metadata["tags"] if isinstance(tag, str) and re.fullmatch(r"[^,]+", tag)]
        kept["tags"] = list(dict.fromkeys(words))
    if isinstance(metadata.get("nbgrader"), dict):
        kept["nbgrader"] = metadata["nbgrader"]
    source = cell.get("source")
    made = MAKERS.get(kind if isinstance(kind, str) else "raw", new_raw_cell)
    twin = made(source=source if isinstance(source, str) else "", metadata=kept)
    if kind == "code" and isinstance(cell.get("outputs"), list):
        twin.outputs = [output for output in cell["outputs"] if _is_output(output)]
    return twin


def _is_output(output: Any) -> bool:
    try:
        nbformat.validate(output, ref="output", version=4)
    except Exception:
        return False
    return True


class Sanitize(NbGraderPreprocessor):
    """nbgrader preprocessor: the cells of a submission with the gradebook's metadata, each graded cell exactly once."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            known = gradebook_cells(gradebook.find_notebook(names["notebook"], names["assignment"]))
        nb.cells = each_once([rebuilt(cell) for cell in nb.cells], known, self.log.warning)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        return nb, resources


def each_once(cells: list[NotebookNode], known: dict[str, NotebookNode], remark: Callable[[str], None]) -> list[NotebookNode]:
    """The cells, each graded one once and as the gradebook knows it; `remark` is told what was repaired."""
    done: list[NotebookNode] = []
    seen: set[str] = set()
    for cell in cells:
        grade_id = cell.metadata.pop("nbgrader", {}).get("grade_id")
        if not isinstance(grade_id, str) or grade_id not in known:
            done.append(cell)
        elif grade_id in seen:
            remark(f"Cell {grade_id} is there twice; the first one is graded.")
            done.append(cell)
        else:
            seen.add(grade_id)
            done.append(_as_known(cell, known[grade_id]))
    for grade_id in (name for name in known if name not in seen and known[name].metadata.nbgrader.grade):
        remark(f"Cell {grade_id} is missing; it is put back.")
        done.insert(_position(done, grade_id), known[grade_id])
    return done


def _as_known(cell: NotebookNode, known: NotebookNode) -> NotebookNode:
    """The submitted cell with the gradebook's metadata, and with its text where the cell is locked."""
    if known.metadata.nbgrader.locked:
        cell.source = known.source
    if cell.cell_type != known.cell_type:
        cell = MAKERS[known.cell_type](source=cell.source, metadata=cell.metadata, id=cell.id)
    cell.metadata.nbgrader = known.metadata.nbgrader
    return cell


class HideTests(NbGraderPreprocessor):
    """nbgrader preprocessor for feedback: check cells without their hidden part; the student's cells are not changed."""

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> tuple[NotebookNode, Any]:
        if is_grade(cell):
            cell.source = HIDDEN.sub("", cell.source).rstrip()
        return cell, resources


def _position(cells: list[NotebookNode], grade_id: str) -> int:
    """The position right below the exercise that a check belongs to; the end when the exercise is missing too."""
    exercise = grade_id.removeprefix(CHECK_PREFIX)
    for place, cell in enumerate(cells):
        if cell.metadata.get("nbgrader", {}).get("grade_id") == exercise:
            return place + 1
    return len(cells)


def gradebook_cells(notebook: Any) -> dict[str, NotebookNode]:
    """The cells of a source notebook in nbgrader's gradebook, by grade_id, as released (hidden tests included)."""
    points = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
    solutions = {cell.name for cell in notebook.solution_cells}
    tasks = {cell.name: float(cell.max_score) for cell in notebook.task_cells}
    found: dict[str, NotebookNode] = {}
    for cell in notebook.source_cells:
        data = {
            "grade_id": cell.name,
            "grade": cell.name in points,
            "solution": cell.name in solutions,
            "task": cell.name in tasks,
            "locked": bool(cell.locked),
            "checksum": cell.checksum,
            "cell_type": cell.cell_type,
            "schema_version": 3,
        }
        if cell.name in points or cell.name in tasks:
            data["points"] = points.get(cell.name, tasks.get(cell.name))
        found[cell.name] = MAKERS[cell.cell_type](source=cell.source or "", metadata={"nbgrader": data})
    return found
