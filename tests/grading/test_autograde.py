"""What a submitted notebook says about its own cells does not count: ids, points and locked text come from the gradebook."""

import copy
import io
import json
from types import SimpleNamespace

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from small_unit import POINTS, UNIT, cell, check_cell, make_course, notebook, register

from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.grading import classroom, judge_notebook, sanitize
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.outputs import MAX_OUTPUTS, Outputs, error_output
from posttrain_lab.grading.sanitize import HideTests, TolerantExporter, each_once, gradebook_cells, rebuilt

pytestmark = pytest.mark.slow


@pytest.fixture
def known() -> dict[str, NotebookNode]:
    """The gradebook's cells of the small unit, made from rows like nbgrader's."""
    rows = [c for c in notebook().cells if "nbgrader" in c.metadata]
    data = [(c, c.metadata.nbgrader) for c in rows]
    return gradebook_cells(
        SimpleNamespace(
            grade_cells=[SimpleNamespace(name=d.grade_id, max_score=d.points) for _, d in data if d.grade],
            solution_cells=[SimpleNamespace(name=d.grade_id) for _, d in data if d.solution],
            task_cells=[],
            source_cells=[
                SimpleNamespace(name=d.grade_id, cell_type=c.cell_type, locked=d.locked, source=c.source, checksum="c")
                for c, d in data
            ],
        )
    )


def sanitized(book: NotebookNode, known: dict[str, NotebookNode]) -> list[NotebookNode]:
    return each_once([rebuilt(one) for one in book.cells], known, lambda text: None)


def ids(cells: list[NotebookNode]) -> list[str]:
    return [c.metadata.nbgrader.grade_id for c in cells if "nbgrader" in c.metadata]


IN_ORDER = [grade_id for name in POINTS for grade_id in (name, f"test_{name}")]


def test_an_honest_notebook_stays_as_it_is(known):
    book = notebook()
    cells = sanitized(book, known)
    assert ids(cells) == IN_ORDER
    assert [c.source for c in cells] == [c.source for c in book.cells]
    assert "hidden=True" in known["test_double"].source


def test_the_first_of_two_cells_is_graded(known):
    book = notebook()
    twin = copy.deepcopy(cell(book, "double"))
    twin.source = "raise ValueError"
    book.cells += [twin, copy.deepcopy(cell(book, "test_double"))]
    cells = sanitized(book, known)
    assert ids(cells) == IN_ORDER
    assert cells[-2].source == "raise ValueError"


def test_missing_checks_come_back_below_their_exercise_or_at_the_end(known):
    book = notebook()
    for cell_id in ("test_split", "stack", "test_stack"):
        book.cells.remove(cell(book, cell_id))
    cells = sanitized(book, known)
    found = ids(cells)
    assert found.index("test_split") == found.index("split") + 1
    assert found[-1] == "test_stack"
    assert sorted(found) == sorted(set(IN_ORDER) - {"stack"})


@pytest.mark.parametrize(
    "change",
    [
        {"points": 1000},
        {"points": "many"},
        {"grade": False, "locked": False},
        {"solution": True, "task": True},
        {"schema_version": 99, "checksum": 0},
    ],
)
def test_metadata_of_a_check_are_the_gradebooks(known, change):
    book = notebook()
    check = cell(book, "test_split")
    check.metadata.nbgrader.update(change)
    check.source = "print('right')"
    graded = next(c for c in sanitized(book, known) if c.metadata.get("nbgrader", {}).get("grade_id") == "test_split")
    assert graded.metadata.nbgrader == known["test_split"].metadata.nbgrader
    assert graded.metadata.nbgrader.points == 2.0
    assert graded.source == known["test_split"].source


@pytest.mark.parametrize("data", ["text", 5, [], {}, {"grade_id": 7}, {"grade_id": "unknown", "grade": True, "points": 9}, None])
def test_metadata_of_another_shape_are_left_out(known, data):
    book = notebook()
    book.cells.append(new_code_cell("1"))
    book.cells[-1].metadata.update(nbgrader=data, tags=data)
    cells = sanitized(book, known)
    assert ids(cells) == IN_ORDER
    assert "nbgrader" not in cells[-1].metadata


def test_tags_that_no_notebook_may_have_are_left_out():
    cell_with_tags = new_code_cell("1")
    cell_with_tags.metadata["tags"] = ["setup", "a,b", "setup", "", 5, "widget"]
    assert rebuilt(cell_with_tags).metadata.tags == ["setup", "widget"]


def test_a_check_turned_into_text_is_code_again(known):
    book = notebook()
    place = book.cells.index(cell(book, "test_double"))
    data = book.cells[place].metadata
    book.cells[place] = nbformat.v4.new_markdown_cell("nothing to see", metadata=data)
    assert sanitized(book, known)[place].cell_type == "code"


def read(text: str) -> NotebookNode:
    output, _ = TolerantExporter().from_file(io.StringIO(text), resources={})
    return nbformat.reads(output, as_version=4)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"cells": 3}', '{"nbformat": 99}', "\x00" * 50, '{"nbformat":4,"cells":[1]}']
)
def test_a_file_that_is_no_notebook_says_so_or_is_empty(text):
    cells = read(text).cells
    assert cells == [] or "could not be read as a notebook" in cells[0].source


def test_reading_keeps_what_counts_and_nothing_else():
    book = json.loads(nbformat.v4.writes(notebook()))
    book["cells"][1]["outputs"] = [{"output_type": "virus"}, new_output("stream", name="stdout", text="seen")]
    book["cells"][1]["metadata"]["collapsed"] = "yes"
    book["metadata"]["widgets"] = {"state": 5}
    got = read(json.dumps(book))
    assert [output.text for output in got.cells[1].outputs] == ["seen"]
    assert got.cells[1].metadata == {"tags": ["setup"]}
    assert list(got.metadata) == ["kernelspec"]


def test_verdicts_are_outputs_that_nbgrader_can_read():
    from nbgrader.utils import determine_grade

    check = check_cell("stack")
    check.outputs = [judge_notebook.verdict_output(Verdict("stack", True, "stack: right in all 6 trials.", 4, 4))]
    assert determine_grade(check) == (4.0, 4.0)
    check.outputs = [judge_notebook.verdict_output(Verdict("stack", False, "You swapped them.", 0, 4))]
    assert determine_grade(check) == (0, 4.0)
    assert check.outputs[0].traceback == ["You swapped them."]


def test_only_units_of_the_package_are_checked_here(monkeypatch):
    register(monkeypatch)
    assert list(judge_notebook.graded_exercises(UNIT)) == [f"test_{name}" for name in POINTS]
    assert judge_notebook.graded_exercises("another_assignment") == {}


def test_nothing_to_grade_is_one_sentence(tmp_path):
    with pytest.raises(CourseError, match=r"no nbgrader_config.py in .*; run this in the folder of the course"):
        classroom.grade(UNIT, tmp_path)
    make_course(tmp_path)
    with pytest.raises(CourseError, match=r"no submitted/<student>/91_small/91_small.ipynb here; put"):
        classroom.grade(UNIT, tmp_path)


def test_feedback_hides_the_hidden_part_of_checks_only():
    cells = [check_cell("double"), new_code_cell("### BEGIN HIDDEN TESTS\nmine")]
    shown = [HideTests().preprocess_cell(one, {}, 0)[0].source for one in cells]
    assert shown == ["checks.small.double(double)", "### BEGIN HIDDEN TESTS\nmine"]


def message(kind: str, **content: object) -> dict:
    return {"header": {"msg_type": kind}, "msg_type": kind, "content": content, "metadata": {}}


def test_outputs_are_joined_cleared_and_bounded():
    outputs = Outputs()
    for text in ("a", "b"):
        outputs.take(message("stream", name="stdout", text=text))
    assert [node.text for node in outputs.nodes] == ["ab"]
    outputs.take(message("clear_output", wait=True))
    outputs.take(message("stream", name="stdout", text="new"))
    assert [node.text for node in outputs.nodes] == ["new"]
    for _ in range(2 * MAX_OUTPUTS):
        outputs.take(message("display_data", data={"text/plain": "x"}, metadata={}))
    assert len(outputs.nodes) == MAX_OUTPUTS + 1
    assert "left out" in outputs.nodes[-1].text
    assert outputs.take(message("status", execution_state="idle"))


@pytest.mark.parametrize("content", [{}, {"name": 5, "text": []}, {"name": "stdout"}])
def test_messages_that_are_no_output_are_left_out(content):
    outputs = Outputs()
    assert not outputs.take(message("stream", **content))
    assert not outputs.take({"msg_type": "stream", "content": "text"})
    assert outputs.nodes == []


def test_an_error_output_is_valid():
    nbformat.validate(error_output("CheckFailed", "You halved x."), ref="output", version=4)
    assert sanitize.CHECK_PREFIX == "test_"
