"""Feedback and formgrader pages: nothing that a student wrote becomes a script, a handler, a frame or a request to elsewhere.

The judge is an HTML parser: the page of a hostile notebook may have no more active parts than that of an empty one.
"""

import time
from pathlib import Path

import nbgrader
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from traitlets.config.loader import PyFileConfigLoader

from posttrain_lab.grading.safe_pages import LARGE, clean, markdown2html, readable

pytestmark = pytest.mark.filterwarnings("ignore")

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
NBGRADER = {
    "score": 1.0,
    "max_score": 2.0,
    "late_penalty": 0.0,
    "notebook": "02",
    "assignment": "02",
    "student": "ann",
}
EVIL = '<script>evil()</script><img src=x onerror="evil()"><iframe src="//evil.org"></iframe><a href="javascript:evil()">x</a>'
EVIL_SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="evil()"><script>evil()</script></svg>'
GRADED = {"grade": True, "solution": True, "grade_id": "a", "points": 2.0, "score": 1.0}


def display(data, metadata=None):
    return new_code_cell("1", outputs=[new_output("display_data", data=data, metadata=metadata or {})])


def tagged(cell):
    cell.metadata["tags"] = ['x" onmouseover="evil()', "fine"]
    return cell


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HOSTILE = {
    "markdown": new_markdown_cell(EVIL),
    "markdown in a graded cell": new_markdown_cell(EVIL, metadata={"nbgrader": GRADED}),
    "a style that covers the page": new_markdown_cell(
        '<style>body{display:none}</style><div style="position:fixed;top:0">A+</div>'
    ),
    "a form": new_markdown_cell('<form action="https://evil.org"><input name="password"><button>Log in</button></form>'),
    "a picture that tells who reads": new_markdown_cell("![x](https://evil.org/pixel.png) <img src='//evil.org/p.png'>"),
    "a page of data": new_markdown_cell("[x](data:text/html;base64,PHNjcmlwdD4=) <object data='data:text/html,x'></object>"),
    "a meta tag": new_markdown_cell('<meta http-equiv="refresh" content="0;url=https://evil.org"><base href="https://evil.org">'),
    "mathematics": new_markdown_cell("$</p><script>evil()</script>$ and $$<img src=x onerror=evil()>$$"),
    "a raw cell": new_raw_cell(EVIL),
    "source code": new_code_cell(f"# {EVIL}"),
    "html": display({"text/html": EVIL}),
    "html in a frame of its own": display({"text/html": EVIL}, {"text/html": {"isolated": True}}),
    "javascript": display({"application/javascript": "evil()"}),
    "svg": display({"image/svg+xml": EVIL_SVG}),
    "markdown output": display({"text/markdown": EVIL}),
    "latex": display({"text/latex": EVIL}),
    "a widget": display({"application/vnd.jupyter.widget-view+json": {"model_id": "</script><script>evil()"}}),
    "a picture with a width": display(
        {"image/png": PIXEL}, {"image/png": {"width": "1 onload=evil()", "alt": '" onload="evil()'}}
    ),
    "a picture that is none": display({"image/png": '" onerror="evil()'}),
    "text": display({"text/plain": EVIL}),
    "print": new_code_cell("1", outputs=[new_output("stream", name="stdout", text=EVIL + "\x1b[31m<b onclick=evil()>")]),
    "an error": new_code_cell("1", outputs=[new_output("error", ename=EVIL, evalue=EVIL, traceback=[EVIL])]),
    "tags": tagged(new_code_cell("1")),
    "tags of text": tagged(new_markdown_cell("text")),
}


def exporter(template):
    config = PyFileConfigLoader("nbgrader_config.py", path=str(REPOSITORY)).load_config()
    config.HTMLExporter.template_name = template
    config.HTMLExporter.extra_template_basedirs = [str(TEMPLATES)]
    static = TEMPLATES.parent / "static" / "node_modules" / "bootstrap" / "dist" / "css"
    config.HTMLExporter.extra_template_paths = [str(static)]
    return HTMLExporter(config=config)


def page(template, *cells):
    resources = {"nbgrader": NBGRADER, "base_url": "", "submission_id": "1", "index": 0, "total": 1}
    html, _ = exporter(template).from_notebook_node(new_notebook(cells=list(cells)), resources=resources)
    return html


def active(html):
    """Every part of a page that runs, loads, frames, covers or sends something."""
    soup = BeautifulSoup(html, "html.parser")
    found = [
        str(tag)
        for tag in soup.find_all(
            ["script", "iframe", "object", "embed", "form", "input", "button", "meta", "base", "link", "style", "svg"]
        )
    ]
    for tag in soup.find_all(True):
        for name, value in tag.attrs.items():
            text = str(value).strip().lower()
            if name.startswith("on") or name == "style" or text.startswith(("javascript:", "data:text")):
                found.append(f"{tag.name} {name}={text}")
            if name in ("src", "data", "action", "background") and not text.startswith("data:image/"):
                found.append(f"{tag.name} {name}={text}")
    return [text for text in found if not text.startswith("img src=x")]  # a picture beside the page


@pytest.fixture(scope="module", params=["feedback", "formgrade"])
def template(request):
    return request.param, {
        graded: active(page(request.param, new_markdown_cell("text", metadata={"nbgrader": GRADED} if graded else {})))
        for graded in (False, True)
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_cell_adds_nothing_active(template, name):
    kind, harmless = template[0], template[1]["nbgrader" in HOSTILE[name].metadata]
    found = active(page(kind, HOSTILE[name]))
    assert [text for text in found if text not in harmless] == []
    assert len(found) <= len(harmless)


def test_the_judge_sees_what_is_active():
    found = active(f"<p>{EVIL}{EVIL_SVG}<p style='x'><img src='https://evil.org'>")
    assert len(found) >= 8


def test_nbgrader_s_own_filter_would_let_it_through():
    plain = exporter("feedback")
    plain.register_filter("markdown2html", "nbconvert.filters.markdown2html")
    html, _ = plain.from_notebook_node(new_notebook(cells=[HOSTILE["markdown"]]), resources={"nbgrader": NBGRADER})
    assert any("evil()" in text for text in active(html))


def test_text_tables_pictures_and_mathematics_stay():
    html = markdown2html(
        "# Title\n\n> quote **bold** `a < b`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n$a < b$ [link](https://x.org)"
    )
    soup = BeautifulSoup(html, "html.parser")
    for tag in ("h1", "blockquote", "strong", "code", "table", "td", "a"):
        assert soup.find(tag), tag
    assert "a < b" in soup.get_text()
    assert soup.find("a", href="https://x.org")
    assert PIXEL in page("feedback", display({"image/png": PIXEL}))
    assert clean("<table><tr><td>1</td></tr></table>") == "<table><tbody><tr><td>1</td></tr></tbody></table>"


def test_what_is_not_shown_is_told():
    assert "an output of this kind is not shown here" in page("feedback", display({"application/vnd.plotly.v1+json": {"x": 1}}))


def test_of_an_output_the_text_stays_and_its_scripts_and_styles_go():
    figure = "<div><script src='x'></script><STYLE>p {}</style ><script>/* plotly.js */ a < b; '</scripted>'</SCRIPT\n></div>"
    assert readable(figure) == "<div></div>"
    assert readable(f"<p>before</p>{figure}<label><input type=radio>an <i>answer</i></label>") == (
        "<p>before</p><div></div>an <i>answer</i>"
    )
    assert readable("<p>seen<script>never ended <p>gone") == "<p>seen</p>"
    assert readable("<scripted>a name that only begins so") == "a name that only begins so"
    html = page("feedback", display({"text/html": figure}))
    assert "plotly.js" not in html
    assert "an output of this kind is not shown here" in html


@pytest.mark.parametrize("part", ["<script", "</script", "<script></script", "<style>", "<", "<b>", "<script>x</script>"])
def test_a_large_output_costs_no_time(part):
    """Cleaning takes the square of the length: 5 MB, as plotly.js has, took seconds, and a student may print more."""
    before = time.process_time()
    found = readable(part * (8_000_000 // len(part)))
    assert time.process_time() - before < 30
    assert len(found) < LARGE
    if part in ("<", "<b>"):
        assert found == "(an output of 8,000,000 characters is not shown here)" or "7,999,998" in found


@given(st.text(st.sampled_from(list("<>/ script=y'\"!-")), max_size=60))
def test_what_is_readable_is_what_clean_lets_through(text):
    assert active(readable(text)) == []
    assert active(readable(f"<script>{text}")) == []
