"""The `>>>` examples of the exercises are true of the reference solutions; the headings state the checks' numbers."""

import doctest
import linecache
import re
from itertools import pairwise
from types import ModuleType

import pytest

from posttrain_lab import checks
from posttrain_lab.checks import UNITS
from posttrain_lab.grading.clinic_sheet import CELL
from posttrain_lab.grading.edge_milestones import MILESTONES
from posttrain_lab.grading.notebook_runner import machine_restored
from posttrain_lab.grading.course import find_course, graded_cells, read_notebook, setup_sources


@pytest.fixture(scope="module", params=UNITS)
def unit(request):
    """The unit's name, its notebook, and a module in which its setup and solution cells have run."""
    notebook = read_notebook(find_course().source(request.param))
    module = ModuleType("worked_examples")
    cells = [cell.source for cell in graded_cells(notebook) if cell.solution]
    with machine_restored():  # unit 06 switches Triton's interpreter on
        for number, source in enumerate([*setup_sources(notebook), *cells]):
            name = f"<{request.param}, cell {number}>"  # a notebook's kernel keeps sources too: triton.jit reads them
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            exec(compile(source, name, "exec"), module.__dict__)
        yield request.param, notebook, module


def test_every_exercise_has_a_true_example(unit):
    name, _, module = unit
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for exercise in checks.exercises(name).values():
        function = getattr(module, exercise.function_name)
        example = parser.get_doctest(function.__doc__, dict(module.__dict__), exercise.name, None, None)
        assert example.examples, f"{exercise.name} has no example"
        assert runner.run(example).failed == 0, exercise.name


def test_a_cell_before_each_check_tries_the_examples(unit):
    name, notebook, _ = unit
    tried = {
        after.metadata.nbgrader.grade_id: cell.source
        for cell, after in pairwise(notebook.cells)
        if after.cell_type == "code" and after.metadata.get("nbgrader", {}).get("grade")
        and after.metadata.nbgrader.grade_id not in (CELL, MILESTONES)  # the sheet of unit 11, the hand-in of project 12
    }
    assert tried == {f"test_{one.name}": f"checks.try_examples({one.function_name})" for one in checks.exercises(name).values()}


def test_no_answer_of_the_course_has_more_than_six_lines(unit):
    """The openings say so."""
    _, notebook, _ = unit
    for cell in (cell for cell in graded_cells(notebook) if cell.solution):
        parts = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL)
        assert parts, cell.grade_id
        assert len([line for line in "".join(parts).splitlines() if line.strip()]) <= 6, cell.grade_id


def test_difficulty_minutes_and_points_are_those_of_the_checks(unit):
    name, notebook, _ = unit
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    stated = re.findall(r"[Dd]ifficulty (\d) of 5\D+(\d+) minutes\D+(\d+) point", text)
    known = [(e.difficulty, e.minutes, e.points) for e in checks.exercises(name).values()]
    assert [tuple(map(int, numbers)) for numbers in stated] == known
