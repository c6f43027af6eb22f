"""Every formula of the course becomes MathML; one that does not is named."""

import pytest

pytest.importorskip("docutils", reason="pip install -e .[site]")
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.site.formulas import mathml


def formulas(text):
    waiting = list(MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin).parse(text))
    while waiting:
        token = waiting.pop()
        waiting += token.children or ()
        if token.type.startswith("math"):
            yield token.content, "block" in token.type


@pytest.mark.parametrize("unit", UNITS)
def test_all_formulas_of_a_page(unit):
    cells = read_notebook(find_course().released(unit)).cells
    found = [one for cell in cells if cell.cell_type == "markdown" for one in formulas(cell.source)]
    assert len(found) > 3
    for formula, block in found:
        assert mathml(formula, block).startswith("<math")


def test_big_brackets_and_dots():
    plain, big = mathml(r"( 1 \ldots n )"), mathml(r"\Big( 1 \dots n \Big)")
    assert plain == big


def test_what_cannot_be_converted_is_named():
    with pytest.raises(ValueError, match=r"\\nosuch.*cannot be shown"):
        mathml(r"\nosuch{x}")
