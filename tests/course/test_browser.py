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
from tests.course.server import start_lab  # noqa: E402

ARTIFACTS = Path(os.environ.get("ARTIFACTS", "artifacts"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lab.CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here: install it to run this"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with lab.browser_page(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


def picture(page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")


def test_start_opens_the_course(tmp_path, page):
    """The first command of the README ends here: a JupyterLab that shows the course's start page, rendered."""
    with start_lab(tmp_path / "mine", tmp_path / "scratch", own_settings=True) as server:
        page.goto(server.address)
        page.wait_for_selector(".jp-MarkdownViewer h1", timeout=2 * lab.MINUTE)
        assert "course" in page.locator(".jp-MarkdownViewer h1").first.inner_text().lower()
        listed = page.locator(".jp-DirListing-itemText").all_inner_texts()
        assert set(UNITS) <= set(listed)
        picture(page, "start")


def test_run_all_cells(page, lab_server):
    """The shortest unit as a reader runs it, from an empty kernel; the others have run before their page is opened."""
    path = "mine/00_start_here.ipynb"
    (lab_server.folder / "mine").mkdir()
    shutil.copy(find_course().source("00_start_here"), lab_server.folder / path)
    lab.open_notebook(page, lab_server.address, path)
    lab.run_all(page, timeout=4 * lab.MINUTE)
    move_all_widgets(page, find_course().source("00_start_here"))


def test_every_widget_of_a_unit_moves(unit, run, lab_server, page):
    lab.open_notebook(page, lab_server.address, f"{unit}/{unit}.ipynb")
    move_all_widgets(page, find_course().source(unit))


def move_all_widgets(page, path: Path) -> None:
    """Every cell is on the page, without errors, and each widget's control changes what its cell shows."""
    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(path, as_version=4).cells]
    assert lab.errors(page) == []
    cells = page.locator(".jp-NotebookPanel .jp-Cell")
    assert cells.count() == len(tags)
    widgets = [index for index, names in enumerate(tags) if "widget" in names]
    assert widgets, "a unit has widgets"
    for index in widgets:
        moved = lab.move_every_control(page, cells.nth(index))
        assert moved, f"cell {index} is tagged widget but shows no control"
        picture(page, f"{path.stem}-cell-{index}")
    assert lab.errors(page) == []
