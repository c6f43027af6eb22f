"""The course in a real browser: JupyterLab opens, every cell runs, every widget moves something, a picture is kept."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
from tests.course import lab  # noqa: E402

ARTIFACTS = Path(os.environ.get("ARTIFACTS", "artifacts"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lab.CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here: install it to run this"),
]


@pytest.fixture
def page(tmp_path):
    with lab.browser_page(tmp_path / "profile") as page:
        yield page


def picture(page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")


def test_start_opens_the_course(tmp_path, page):
    """The first command of the README ends here: a JupyterLab that shows the course's start page, rendered."""
    with lab.lab_server(tmp_path / "mine", tmp_path / "scratch", own_settings=True) as address:
        page.goto(address)
        page.wait_for_selector(".jp-MarkdownViewer h1", timeout=2 * lab.MINUTE)
        assert "course" in page.locator(".jp-MarkdownViewer h1").first.inner_text().lower()
        listed = page.locator(".jp-DirListing-itemText").all_inner_texts()
        assert set(UNITS) <= set(listed)
        picture(page, "start")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_runs_and_its_widgets_move(unit, tmp_path, page):
    source = find_course().source(unit)
    folder = tmp_path / "mine" / unit
    folder.mkdir(parents=True)
    shutil.copy(source, folder)
    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(source, as_version=4).cells]
    with lab.lab_server(tmp_path / "mine", tmp_path / "scratch") as address:
        lab.open_notebook(page, address, f"{unit}/{unit}.ipynb")
        lab.run_all(page, timeout=4 * lab.MINUTE)
        assert lab.errors(page) == []
        cells = page.locator(".jp-NotebookPanel .jp-Cell")
        assert cells.count() == len(tags)
        widgets = [index for index, names in enumerate(tags) if "widget" in names]
        assert widgets, "a unit has widgets"
        for index in widgets:
            moved = lab.move_every_control(page, cells.nth(index))
            assert moved, f"cell {index} is tagged widget but shows no control"
            picture(page, f"{unit}-cell-{index}")
        assert lab.errors(page) == []
