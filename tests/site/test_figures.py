"""All figures of the solved notebooks in headless Chromium, as the site draws them: no text over another, on a screen and on a phone."""

import os
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from posttrain_lab.checks import UNITS  # noqa: E402
from posttrain_lab.grading.course import find_course, read_notebook  # noqa: E402
from posttrain_lab.site.carried import carried  # noqa: E402
from posttrain_lab.site.outputs import figure as box  # noqa: E402
from posttrain_lab.site.slides import LOOK  # noqa: E402
from posttrain_lab.site.stills import bake, drawing, figures, picture  # noqa: E402
from posttrain_lab.widgets import Question, predict, quiz  # noqa: E402
from tests.course import lab  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lab.CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here: install it to run this"),
]
FAULTS = (Path(__file__).parent / "faults.js").read_text(encoding="utf-8").partition("\n(box)")
MEASURED = f"""width => {{
    document.body.style.width = width + 'px';
    dispatchEvent(new Event('beforeprint'));
    const faults = (box){FAULTS[2]};
    return [...document.querySelectorAll('.ptl-figure')].map(box => [box.id, faults(box)]).filter(one => one[1].length);
}}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with lab.browser_page(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.set_default_timeout(2 * lab.MINUTE)
        yield page


@pytest.fixture(scope="module")
def every_figure(page, tmp_path_factory):
    """A page with the figures of all units, one below the other."""
    parts = [
        f'<script src="{carried("plotly.min.js").as_uri()}"></script><script src="{(LOOK / "figures.js").as_uri()}"></script>'
    ]
    for unit in UNITS:
        for number, (_, figure, words) in enumerate(figures(read_notebook(find_course().source(unit)))):
            parts.append(box(figure, words).replace("<div ", f'<div id="{unit} {number}" ', 1))
    path = tmp_path_factory.mktemp("figures") / "all.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin: 8px">{"".join(parts)}', encoding="utf-8")
    page.goto(path.as_uri())
    return page


def test_no_text_lies_over_another_on_a_screen(every_figure):
    assert every_figure.evaluate(MEASURED, 700) == []
    assert every_figure.locator(".ptl-figure[role=img][aria-label] .main-svg").count() > 100


def test_few_texts_do_on_a_phone(every_figure):
    assert len(every_figure.evaluate(MEASURED, 340)) <= 5


def test_the_measure_finds_texts_that_overlap_and_that_are_cut_off(every_figure):
    found = every_figure.evaluate(
        f"""async () => {{
        const box = document.createElement('div');
        box.style.width = '300px';
        document.body.append(box);
        const note = (text, x) => ({{text, x, y: 0.5, xref: 'paper', yref: 'paper', showarrow: false}});
        const annotations = [note('one text', 0.5), note('another', 0.52), {{...note('beyond the edge of it', 1), xanchor: 'left'}}];
        await Plotly.newPlot(box, [], {{width: 300, height: 200, annotations}});
        const found = ((box){FAULTS[2]})(box);
        box.remove();
        return found; }}"""
    )
    assert "one text | another" in found
    assert "cut off: beyond the edge of it" in found
    assert not any("beyond the edge of it |" in one for one in found)


def test_the_same_figure_gives_the_same_bytes(page):
    notebook = read_notebook(find_course().source("00_start_here"))
    cell = next(
        cell
        for cell in notebook.cells
        if any("still" in output.metadata for output in cell.get("outputs", ()) if "data" in output)
    )
    notebook.cells, (output,), draw = [cell], cell.outputs, drawing(page)
    baked = []
    for _ in range(2):
        output.metadata.pop("still", None)
        assert bake(notebook, draw) == 1
        baked.append(picture(output))
    assert baked[0] == baked[1]


LONG = "a choice that is long enough to need a second line where the page is as narrow as a phone held upright"


def test_a_quiz_is_used_with_the_keyboard_on_a_phone(page):
    asked = [Question(LONG, (LONG, "short"), 1, "Because."), Question("And?", ("a", "b"), 0, "So.")]
    page.set_content(f"<body style='width: 340px'>{quiz(asked).html}{predict('2. And?', ['a', 'b'], 'Then.').html}")
    assert page.evaluate("() => [...document.forms].every(form => form.scrollWidth <= 340)")
    groups = page.get_by_role("group")
    assert [groups.nth(i).get_by_role("radio").count() for i in range(3)] == [2, 2, 2]
    assert page.get_by_role("group", name=f"1. {LONG}").count() == 1
    assert page.locator(".ptl-said:visible").count() == 0
    page.get_by_role("radio", name=LONG).focus()
    page.keyboard.press("Space")
    assert page.locator(".ptl-said:visible").all_inner_texts() == [f"Not yet: {LONG}. Because."]
    page.keyboard.press("ArrowDown")
    assert page.locator(".ptl-said:visible").all_inner_texts() == ["Right: short. Because."]
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")  # sends nothing, and the page stays
    assert page.locator(".ptl-said:visible").all_inner_texts() == ["Right: short. Because.", "Right: a. So."]
    page.get_by_role("radio", name="b").last.check()
    assert page.locator("input:checked").count() == 3  # the guess has the quiz's question and is a group of its own
