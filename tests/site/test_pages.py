"""The sources of the site's pages: the student's cells with the solved notebook's outputs, formulas, links, docstrings. No Sphinx runs."""

import ast
import json
import re

import pytest

from posttrain_lab.checks import UNITS, exercises
from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.site import carried
from posttrain_lab.site.library import as_restructured
from posttrain_lab.site.outputs import PLOTLY, STATE, VIEW, as_html
from posttrain_lab.site.pages import linked, said_below, unit_page
from posttrain_lab.site.slides import slides_of

COURSE = find_course()


def notebooks(unit):
    return read_notebook(COURSE.released(unit)), read_notebook(COURSE.source(unit))


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def figures(cells):
    return sum(str(output).count("ptl-figure") for cell in cells for output in cell.get("outputs", ()))


@pytest.mark.parametrize("unit", UNITS)
def test_a_reader_sees_the_students_code_and_the_solved_notebooks_figures(unit):
    student, solved = notebooks(unit)
    page = unit_page(student, solved, unit)
    assert code(page) == code(student)
    text = json.dumps(page)
    assert "HIDDEN TESTS" not in text
    assert "hidden=True" not in text
    assert "SOLUTION" not in text
    drawn = sum(PLOTLY in output.get("data", {}) for cell in solved.cells for output in cell.get("outputs", ()))
    moved = [one for one in solved.metadata.widgets[STATE]["state"].values() if one["model_name"] == "OutputModel"]
    assert figures(page.cells) == drawn + len(moved) > 3
    assert VIEW not in text
    assert "widgets" not in page.metadata


@pytest.mark.parametrize("unit", UNITS)
def test_who_learns_alone_finds_a_solution_below_each_exercise(unit):
    student, solved = notebooks(unit)
    page = unit_page(student, solved, unit, solutions=True)
    added = [cell for cell in page.cells if "solution" in cell.metadata.tags]
    beside = {"11_clinic": 12, "12_project_edge": 2}  # patients; a network and a hand-in
    assert len(added) == len(exercises(unit)) + beside.get(unit, 0)
    assert all("hide-cell" in cell.metadata.tags and "SOLUTION" not in cell.source for cell in added)
    for cell in added:
        ast.parse(cell.source)
        assert cell.metadata.mystnb.code_prompt_show == "One solution"
        assert "NotImplementedError" not in cell.source
    assert code(unit_page(student, solved, unit)) == [one for one in code(page) if one not in {cell.source for cell in added}]


def test_a_figure_says_what_its_text_says():
    student, solved = notebooks("02_quantization")
    assert "\n" not in "".join(said_below(student))
    text = json.dumps(unit_page(student, solved, "02_quantization"))
    labels = re.findall(r'aria-label=\\"([^"]*)\\"', text)
    assert any(label.startswith("accuracy rises with the bits") for label in labels)
    assert "Figure" not in labels
    assert len(labels) > 10


def model(name, **state):
    return {"model_name": name, "state": state}


def test_a_widget_is_shown_in_its_first_state():
    drawn = {"data": {PLOTLY: {"data": [{"y": [1, 2], "name": "</script>"}], "layout": {"title": {"text": "two"}}}}}
    state = {
        "box": model("VBoxModel", children=["IPY_MODEL_slider", "IPY_MODEL_place", "IPY_MODEL_text"]),
        "slider": model("FloatSliderModel", description="upper <end>", value=1.5),
        "place": model("OutputModel", outputs=[drawn]),
        "text": model("HTMLModel", value="<b>a text</b>"),
    }
    shown = as_html({"data": {VIEW: {"model_id": "box"}}}, state)
    assert "upper &lt;end&gt; <code>1.5</code>" in shown
    assert 'aria-label="two"' in shown
    assert shown.count("</script>") == 1
    assert "<p><b>a text</b></p>" in shown
    assert as_html({"data": {VIEW: {"model_id": "gone"}, "text/plain": "VBox()"}}, state) is None


def test_links_lead_to_pages_or_to_the_repository():
    text = "[a](../glossary.md#scale) [b](../01_pruning/01_pruning.ipynb) [c](../../docs/grading.md) [d](../../SECURITY.md)"
    text += " [e](https://x.org) [f](#g)"
    made = linked(text, "course/02_quantization")
    assert re.search(r'\[a\]\(\.\./glossary\.md#scale "[^"]{20,}"\)', made)
    assert "[b](../01_pruning/01_pruning.ipynb)" in made
    assert "[c](../docs/grading.md)" in made
    assert "[d](https://github.com/posttrain-lab/posttrain-lab/blob/main/SECURITY.md)" in made
    assert made.endswith("[e](https://x.org) [f](#g)")
    assert linked("[u](../../course/index.md)", "docs/instructor") == "[u](../../index.md)"


def test_docstrings_keep_their_words_and_their_examples():
    made = as_restructured(["`x` [*shape] and 2*y_1.", "", ">>> f('a`b*')", "1", "", "    a = b*c", "", "short", "line*"])
    assert made == [
        "\\ ``x``\\  [\\*shape] and 2\\*y\\_1.", "", ">>> f('a`b*')", "1", "", "::", "", "        a = b*c", "", "| short", "| line\\*", "",
    ]  # fmt: skip


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(carried, "NEEDED", ("pytest", "no-such-package-1"))
    with pytest.raises(ImportError, match=r"needs no-such-package-1, .*\[site\]"):
        carried.require()


def test_a_slide_has_a_figure_and_the_question_below_it():
    page = unit_page(*notebooks("02_quantization"), "02_quantization")
    slides = list(slides_of(page))
    assert slides[0].startswith("<h1>02 Quantization")
    staircase = next(slide for slide in slides if "Each staircase has one step more" in slide)
    assert staircase.count("ptl-figure") == 1
    assert "<summary>Answer</summary>" in staircase
    assert "What is seen" not in staircase.partition("</script>")[2]
    layer = next(slide for slide in slides if "Exercise 8" in slide)
    assert r"\[y[n, o] =" in layer
    assert "Predict" in layer
    assert "Shapes:" not in layer
    assert not any("NotImplementedError" in slide for slide in slides[1:])
