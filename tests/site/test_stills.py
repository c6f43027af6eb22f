"""Pictures in the solved notebooks: each figure has its own, with words; nbconvert shows them all."""

import base64
import copy
import json
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.site.outputs import PLOTLY, STATE, VIEW
from posttrain_lab.site.stills import bake, figures, is_current

CONFIG = Path(__file__).resolve().parents[2] / "jupyter_nbconvert_config.json"
WHITE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg==")
MARKED = "data:image/png;base64,"


@pytest.mark.parametrize("unit", UNITS)
def test_every_figure_has_its_own_picture_and_words(unit):
    found = list(figures(read_notebook(find_course().source(unit))))
    assert len(found) > 3
    for output, figure, words in found:
        assert is_current(output, figure), "run python -m posttrain_lab.site.stills"
        assert said(output) == words != "a figure"
        assert not (PLOTLY in output.data and "image/png" in output.data), "JupyterLab would show the picture, not the figure"


def said(output):
    """The words of a picture: of a figure in its HTML, of a widget in its metadata."""
    if PLOTLY in output.data:
        return BeautifulSoup(output.data["text/html"], "html.parser").img["alt"]
    return output.metadata["image/png"]["alt"]


@pytest.fixture(scope="module")
def exporters():
    """To HTML, by the configuration beside the README; and to Markdown, by nbconvert's own."""
    return HTMLExporter(config=Config(json.loads(CONFIG.read_text())), template_name="basic"), MarkdownExporter()


@pytest.mark.parametrize("unit", UNITS)
def test_nbconvert_shows_every_figure(unit, exporters):
    notebook = read_notebook(find_course().source(unit))
    pictures = len(list(figures(notebook)))
    notebook.cells = [
        cell
        for cell in notebook.cells
        if any("still" in output.metadata for output in cell.get("outputs", ()) if "data" in output)
    ]
    to_html, to_markdown = exporters
    as_html, _ = to_html.from_notebook_node(notebook)
    assert as_html.count(MARKED) == pictures
    as_markdown, resources = to_markdown.from_notebook_node(notebook)
    assert as_markdown.count(MARKED) + sum(name.endswith(".png") for name in resources["outputs"]) == pictures


def notebook_with(title):
    figure = {"data": [], "layout": {"title": {"text": title}}}
    state = {
        "box": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_place"]}},
        "place": {"model_name": "OutputModel", "state": {"outputs": [{"data": {PLOTLY: figure}}]}},
    }
    shown = [new_output("display_data", data={PLOTLY: figure}), new_output("display_data", data={VIEW: {"model_id": "box"}})]
    cells = [
        new_code_cell("a", outputs=shown),
        new_markdown_cell("*What is seen: a line.*"),
        new_code_cell("b", outputs=[copy.deepcopy(shown[0])]),
    ]
    return new_notebook(cells=cells, metadata={"widgets": {STATE: {"state": state}}})


def test_a_picture_is_made_once_and_again_when_its_figure_changes():
    notebook, drawn = notebook_with("one"), []

    def draw(figure):
        drawn.append(figure["layout"]["title"]["text"])
        return WHITE

    assert bake(notebook, draw) == 3
    before = nbformat.writes(notebook)
    assert bake(notebook, draw) == 0
    assert nbformat.writes(notebook) == before
    nbformat.validate(notebook)
    notebook.cells[2].outputs[0].data[PLOTLY]["layout"]["title"]["text"] = "two"
    assert bake(notebook, draw) == 1
    assert drawn == ["one", "one", "one", "two"]
    words = [said(output) for cell in notebook.cells for output in cell.get("outputs", ())]
    assert words == ["a line.", "a line.", "two"]
