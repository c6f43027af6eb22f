"""Drive a JupyterLab (`server.py` starts it) in headless Chromium: open a notebook, run all of it, move its widgets."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
MINUTE = 60_000


@contextlib.contextmanager
def browser_page(profile: Path) -> Iterator[Page]:
    """A window of 1400 x 1000 pixels in a fresh profile."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, headless=True, args=FLAGS, viewport={"width": 1400, "height": 1000}
        )
        try:
            yield context.pages[0] if context.pages else context.new_page()
        finally:
            context.close()


def open_notebook(page: Page, address: str, path: str) -> None:
    """Show the notebook and wait until its kernel is idle (a Run All sent earlier would be lost)."""
    parts = urlsplit(address)
    page.goto(f"{parts.scheme}://{parts.netloc}/lab/tree/{path}?{parts.query}&reset", timeout=2 * MINUTE)
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=2 * MINUTE)
    page.wait_for_function(
        r"() => /\| Idle/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')", timeout=2 * MINUTE
    )


def run_all(page: Page, timeout: int) -> None:
    """Run > Run All Cells, and wait until every code cell has a number. (One whose source is hidden shows none, but its output.)"""
    page.keyboard.press("Escape")
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    page.wait_for_function(
        """() => { const cells = [...document.querySelectorAll('.jp-NotebookPanel .jp-CodeCell')];
        const ran = c => /\\[\\d+\\]/.test(c.querySelector('.jp-InputPrompt').textContent);
        const hidden = c => c.querySelector('.jp-InputPlaceholder, .jp-Placeholder');
        return cells.length && cells.every(c => hidden(c) ? c.querySelector('.jp-OutputArea-output') : ran(c)); }""",
        timeout=timeout,
    )


def errors(page: Page) -> list[str]:
    """The texts of all outputs that are errors or went to stderr."""
    kinds = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
    return page.locator(kinds).all_inner_texts()


def controls(cell: Locator) -> list[Locator]:
    """The parts of a cell's widgets that a reader can move or choose."""
    kinds = (
        "[role=slider]",
        "select",
        ".widget-toggle-button:not(.mod-active)",
        "input[type=radio]:not(:checked)",
        "input[type=checkbox]",
        "button.jupyter-button:not(.widget-toggle-button)",
    )
    found = [item for kind in kinds for item in cell.locator(kind).all() if item.is_visible()]
    return [item for item in found if not (item.evaluate("e => e.disabled"))]


def move(page: Page, control: Locator) -> None:
    """Move it as a reader would: keys on a slider (back from its end), the next choice of a list, a click on the rest."""
    control.scroll_into_view_if_needed()
    if control.get_attribute("role") == "slider":
        at_the_end = control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax")
        control.focus()
        for _ in range(3):
            page.keyboard.press("PageDown" if at_the_end else "ArrowRight")
    elif control.evaluate("e => e.tagName") == "SELECT":
        count = control.locator("option").count()
        control.select_option(index=(control.evaluate("e => e.selectedIndex") + 1) % count)
    else:
        control.click()


# A box shows an empty part for each child until that is made, and a slider's output (a figure) is empty until it is drawn.
DRAWN = """cell => cell.querySelector('.widget-box, .ptl-ask')
    && [...cell.querySelectorAll('.widget-box > *')].every(part => part.className.trim() !== 'lm-Widget')
    && [...cell.querySelectorAll('.widget-output')].every(part => part.querySelector('.main-svg'))"""
SHOWN = """cell => [...cell.querySelectorAll('.js-plotly-plot, .widget-html, .jp-RenderedHTMLCommon, .jp-RenderedText')]
    .map(part => part.matches('.js-plotly-plot') ? part.innerHTML : part.innerText).join('\\n')"""


def move_every_control(page: Page, cell: Locator) -> int:
    """Move each control of a cell and wait until its figure or text (not only the control) changes; returns how many."""
    cell.scroll_into_view_if_needed()
    handle = cell.element_handle()
    page.wait_for_function(DRAWN, arg=handle, timeout=MINUTE)  # else the first drawing would pass for a change
    number = 0
    while number < len(found := controls(cell)):
        before = cell.evaluate(SHOWN)
        move(page, found[number])
        page.wait_for_function(f"([cell, before]) => ({SHOWN})(cell) !== before", arg=[handle, before], timeout=MINUTE)
        number += 1
    return number
