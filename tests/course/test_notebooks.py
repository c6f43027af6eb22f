"""Each notebook is executed, clean, small, in step with its percent twin, and gives no answer away."""

import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from posttrain_lab import checks
from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course, graded_cells, setup_sources, title
from posttrain_lab.grading.cell_rules import cell_complaints, unit_complaints

# A path of somebody's machine: a home or temporary folder of Linux, macOS or Windows.
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|Users|private|var/folders|work)/\w|\b[A-Za-z]:\\+Users\b")
REGION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)
KEPT = ("tags", "nbgrader")
WIDGET = "application/vnd.jupyter.widget-view+json"

every_unit = pytest.mark.parametrize("unit", UNITS)
every_notebook = pytest.mark.parametrize("where", ["source", "released"])


def notebook_path(unit: str, where: str = "source") -> Path:
    return getattr(find_course(), where)(unit)


def notebook(unit: str, where: str = "source") -> nbformat.NotebookNode:
    return nbformat.read(notebook_path(unit, where), as_version=4)


def code_cells(unit: str, where: str = "source") -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook(unit, where).cells if cell.cell_type == "code"]


def solution_lines(source: str) -> list[str]:
    """The lines of code between the marks, without blank lines and comments."""
    lines = "".join(REGION.findall(source)).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


@every_unit
def test_executed_from_top_to_bottom(unit):
    counts = [cell.execution_count for cell in code_cells(unit) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1))


@every_unit
def test_no_cell_failed_or_warned(unit):
    for cell in code_cells(unit):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"{cell.source}\n{output.get('text')}"


@every_unit
@every_notebook
def test_no_path_of_a_machine(unit, where):
    text = notebook_path(unit, where).read_text(encoding="utf-8")
    found = MACHINE_PATH.search(text)
    assert found is None, text[max(0, found.start() - 100) : found.end() + 100]


@pytest.mark.parametrize("path", ["/home/ann/x", "/root/x", "in /tmp/abc", '"C:\\\\Users\\\\ann"', "/Users/ann", "(/tmp/a)"])
def test_the_pattern_finds_paths_of_machines(path):
    assert MACHINE_PATH.search(path)


@pytest.mark.parametrize("text", ["https://example.org/home/page", "../glossary.md", "a/tmp/b", "and/or", "docs/root/x"])
def test_the_pattern_leaves_other_text_alone(text):
    assert not MACHINE_PATH.search(text)


@every_unit
@every_notebook
def test_smaller_than_a_megabyte(unit, where):
    assert notebook_path(unit, where).stat().st_size < 1_000_000


@every_unit
@every_notebook
def test_cells_have_ids_of_their_own_and_the_format_is_valid(unit, where):
    raw = json.loads(notebook_path(unit, where).read_text(encoding="utf-8"))
    ids = [cell["id"] for cell in raw["cells"]]
    assert len(set(ids)) == len(ids)
    nbformat.validate(raw)
    assert raw["metadata"]["kernelspec"]["name"] == "python3"


@every_unit
def test_the_percent_twin_says_the_same(unit):
    def essence(cells):
        return [(c.cell_type, c.source, {k: c.metadata[k] for k in KEPT if k in c.metadata}) for c in cells]

    path = notebook_path(unit)
    twin = jupytext.read(path.with_suffix(".py"))
    assert essence(twin.cells) == essence(notebook(unit).cells)
    assert notebook(unit).metadata.jupytext.formats == "ipynb,py:percent"


@every_unit
def test_graded_cells_are_the_standard_ones(unit):
    exercises, cells = checks.exercises(unit), graded_cells(notebook(unit))
    assert unit_complaints(exercises, cells, ()) == []
    for exercise in exercises.values():
        assert cell_complaints(exercise, UNITS[unit], cells, alternatives=1) == [], exercise.name


@every_unit
def test_six_lines_solve_every_exercise(unit):
    for cell in graded_cells(notebook(unit)):
        if cell.solution:
            assert 1 <= len(solution_lines(cell.source)) <= 6, cell.grade_id


@every_unit
def test_the_students_notebook_gives_no_answer_away(unit):
    answers = {cell.grade_id: solution_lines(cell.source) for cell in graded_cells(notebook(unit)) if cell.solution}
    released = {cell.grade_id: cell.source for cell in graded_cells(notebook(unit, "released")) if cell.solution}
    assert released.keys() == answers.keys()
    for name, source in released.items():
        assert "raise NotImplementedError" in [line.strip() for line in source.splitlines()], name
        lines = {line.strip() for line in source.splitlines()}
        assert not lines & set(answers[name]), name
    text = notebook_path(unit, "released").read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert "HIDDEN TESTS" not in text
    assert "hidden=True" not in text
    assert all(cell.outputs == [] for cell in code_cells(unit, "released"))
    assert list(notebook_path(unit, "released").parent.glob("*.py")) == []


@every_unit
def test_widgets_are_tagged(unit):
    for cell in code_cells(unit):
        if any(WIDGET in output.get("data", {}) for output in cell.outputs):
            assert {"widget", "nbval-ignore-output"} <= set(cell.metadata.get("tags", [])), cell.source


@every_unit
def test_a_unit_has_a_heading_and_a_setup_cell(unit):
    assert title(notebook(unit))
    assert setup_sources(notebook(unit))  # later ones define what the exercises below them call
    assert "setup" in code_cells(unit)[0].metadata.get("tags", [])
