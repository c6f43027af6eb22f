"""Who uses the library's own answer loses the points; who looks for the grader is named; the course's own solutions do neither."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.grading.flags import library_used, own_work, remarks

COURSE = find_course()
WRAPPERS = [
    "from posttrain_lab.quantization import quantize as q\nquantize = q",
    "def quantize(x, s, z):\n    from posttrain_lab.quantization import quantize as q\n    return q(x, s, z)",
    "import posttrain_lab.quantization as pq\nquantize = lambda x, s, z: pq.quantize(x, s, z)",
    "import posttrain_lab\ndef quantize(*a):\n    return posttrain_lab.quantization.quantize(*a)",
    "def quantize(x, s, z):\n    return quantization.quantize(x, s, z)",
]
OWN = [
    "def quantize(x, s, z):\n    return torch.clamp(torch.round(x / s) + z, -128, 127)",
    "def other(x):\n    return quantize(x)",
    "class A:\n    def f(self):\n        return self.quantize()",
    "%timeit quantize(x)",
    "def quantize(x",
]


@pytest.mark.parametrize("source", WRAPPERS)
def test_a_wrapper_of_the_library_loses_its_points(source):
    exercise = checks.exercises("02_quantization")["quantize"]
    passed = Verdict("quantize", True, "right in all 99 trials.", exercise.points, exercise.points)
    verdict = own_work(passed, exercise, source)
    assert (verdict.passed, verdict.points) == (False, 0)
    assert verdict.message == "quantize: the library's own quantize made this; write it yourself in the cell above."


@pytest.mark.parametrize("source", OWN)
def test_own_work_is_left_alone(source):
    exercise = checks.exercises("02_quantization")["quantize"]
    passed = Verdict("quantize", True, "right", exercise.points, exercise.points)
    assert own_work(passed, exercise, source) is passed


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("from posttrain_lab.checks.quantization import quantize", "posttrain_lab.checks.quantization.quantize"),
        ("import posttrain_lab.grading.kernel_side as k", "posttrain_lab.grading.kernel_side"),
        ("import gc\nfor one in gc.get_objects():\n    pass", "gc, get_objects"),
        ("from inspect import getsource", "inspect.getsource"),
        ("__import__('posttrain_lab')", "__import__"),
    ],
)
def test_who_looks_for_the_grader_is_named(source, word):
    assert remarks([new_code_cell("x = 1"), new_code_cell(source)]) == [f"Cell 2 names {word}; look at what it does."]


@pytest.mark.parametrize("unit", COURSE.units())
def test_the_course_s_own_solutions_are_neither(unit):
    book: nbformat.NotebookNode = read_notebook(COURSE.source(unit))
    assert remarks(book.cells) == []
    sources = {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell.source for cell in book.cells}
    found = {name: library_used(sources.get(name, ""), one.library) for name, one in checks.exercises(unit).items()}
    assert set(found.values()) == {""}
