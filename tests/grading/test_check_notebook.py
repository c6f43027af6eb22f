"""`check_notebook` gives a learner the points and the sentence of every exercise, from the file alone."""

import pytest
from nbformat.v4 import new_code_cell
from small_unit import POINTS, UNIT, blank, cell, notebook, register, source, write

from posttrain_lab.grading.check_notebook import check_notebook, is_needed
from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.session import Limits

HALF = {
    "double": "def helper(x): return 2 * x\n" + source("double", "    return helper(x)"),
    "split": blank("split"),
    "cube": "class Cube(:\n",
    "stack": source("stack", "    return nn.Sequential(my_order(first, second))"),
}


@pytest.mark.slow
def test_a_verdict_for_every_exercise_in_order(tmp_path, monkeypatch):
    register(monkeypatch)
    book = notebook(HALF)
    book.cells.insert(2, new_code_cell("def my_order(first, second):\n    return nn.Sequential(first, second)"))
    cell(book, "figure_double").source = "open('figure_was_drawn', 'w').close()"
    cell(book, "test_double").source = "raise SystemExit"
    book.cells.remove(cell(book, "test_seconds"))
    (tmp_path / "posttrain_lab.py").write_text("raise SystemExit", encoding="utf-8")
    path = write(book, tmp_path)
    before, heard = path.read_bytes(), []
    verdicts = check_notebook(path, UNIT, heard.append, Limits(cell=30, call=20))
    assert [verdict.exercise for verdict in verdicts] == list(POINTS)
    assert {verdict.exercise for verdict in verdicts if verdict.passed} == {"double", "seconds"}
    assert [verdict.points for verdict in verdicts] == [1, 0, 0, 0, 5]
    assert heard == verdicts
    assert "still empty" in verdicts[1].message
    assert "`Cube` is not defined, because its cell stopped with SyntaxError" in verdicts[2].message
    assert path.read_bytes() == before
    assert not (tmp_path / "figure_was_drawn").exists()


def test_wrong_files_and_units_are_one_sentence(tmp_path, monkeypatch):
    register(monkeypatch)
    with pytest.raises(CourseError, match="There is no notebook"):
        check_notebook(tmp_path / "no.ipynb", UNIT)
    (tmp_path / "damaged.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(CourseError, match="is not a notebook that can be read"):
        check_notebook(tmp_path / "damaged.ipynb", UNIT)
    path = write(notebook(), tmp_path)
    with pytest.raises(ValueError, match="There is no unit"):
        check_notebook(path, "99_nothing")
    with pytest.raises(CourseError, match="has no exercise of 02_quantization"):
        check_notebook(path, "02_quantization")


@pytest.mark.parametrize(
    ("text", "tags", "needed"),
    [
        ("import numpy", [], True),
        ("class A: pass", [], True),
        ("x = 1", [], False),
        ("def f(): pass", ["nbval-ignore-output"], False),
        ("anything()", ["setup"], True),
        ("%matplotlib inline", [], False),
        ("def f(", [], False),
    ],
)
def test_which_cells_the_exercises_stand_on(text, tags, needed):
    assert is_needed(new_code_cell(text, metadata={"tags": tags})) is needed


def test_solutions_are_needed_and_checks_are_not():
    book = notebook()
    assert is_needed(cell(book, "double"))
    assert not is_needed(cell(book, "test_double"))
