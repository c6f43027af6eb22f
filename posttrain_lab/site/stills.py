"""Pictures beside the figures of the solved notebooks, for readers whose page draws none: GitHub, nbconvert, a print.

    python -m posttrain_lab.site.stills [UNIT ...]

Run it after a notebook was executed. It wants playwright and a Chromium, which draws each figure with plotly.js as a reader's
browser does. A picture has 64 colours and a white ground. A figure that did not change keeps its picture, and the same figure gives the
same bytes. A widget has the picture of its first state.

A figure's picture is the output's HTML: beside an `image/png`, JupyterLab would show the picture, not the figure. A widget's is a plain PNG.
"""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.site.carried import carried
from posttrain_lab.site.outputs import HEIGHT, PLOTLY, STATE, VIEW, described
from posttrain_lab.site.pages import said_below
from posttrain_lab.whole_files import write_whole

WIDTH, SCALE, COLOURS = 700, 1.5, 64  # at twice the width, two notebooks pass a megabyte
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"]
DRAW = "([figure, size]) => Plotly.toImage(figure, {format: 'png', ...size})"
PNG = "data:image/png;base64,"
PICTURE = re.compile(f'<img [^>]*src="{PNG}([^"]*)">')
Draw = Callable[[dict[str, Any]], bytes]


def drawn(output: NotebookNode, state: dict[str, Any]) -> dict[str, Any] | None:
    """The figure that an output shows, or the first one in its widget, as plotly's data and layout; None where there is none."""
    data = output.get("data", {})
    if PLOTLY in data:
        return {key: data[PLOTLY][key] for key in ("data", "layout")}
    found = _inside(data[VIEW]["model_id"], state) if VIEW in data else iter(())
    return next(found, None)


def _inside(model: str, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The figures in a widget and in its children, from top to bottom."""
    values = state.get(model, {}).get("state", {})
    for output in values.get("outputs", ()):
        if found := drawn(output, state):
            yield found
    for child in values.get("children", ()):
        yield from _inside(child.removeprefix("IPY_MODEL_"), state)


def figures(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, dict[str, Any], str]]:
    """Each output with a figure, the figure, and what the page says of it: the text below, else the figure's own names."""
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    for cell, seen in zip(notebook.cells, said_below(notebook), strict=True):
        for output in cell.get("outputs", ()):
            if figure := drawn(output, state):
                yield output, figure, seen or described(figure)


def key(figure: dict[str, Any]) -> str:
    """What a picture was made from, in 16 characters.

    >>> len(key({"data": [], "layout": {}}))
    16
    """
    text = json.dumps([figure, WIDTH, SCALE, COLOURS], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_current(output: NotebookNode, figure: dict[str, Any]) -> bool:
    """Was the picture made from this figure?"""
    return bool(picture(output)) and output.metadata.get("still") == key(figure)


def picture(output: NotebookNode) -> str:
    """The picture of an output, in base64; "" where it has none."""
    if PLOTLY not in output.data:
        return output.data.get("image/png", "").strip()
    found = PICTURE.search(output.data.get("text/html", ""))
    return found[1] if found else ""


def bake(notebook: NotebookNode, draw: Draw) -> int:
    """Give each figure of a notebook its picture and its words; how many pictures are new?"""
    new = 0
    for output, figure, words in figures(notebook):
        png = picture(output)
        if not is_current(output, figure):
            png = base64.b64encode(few_colours(draw(figure))).decode()
            output.metadata["still"] = key(figure)
            new += 1
        if PLOTLY in output.data:
            output.data["text/html"] = f'<img alt="{html.escape(words)}" width="{WIDTH}" src="{PNG}{png}">'
        else:
            output.data["image/png"] = png + "\n"
            output.metadata["image/png"] = {"alt": words, "width": WIDTH}
    return new


def few_colours(png: bytes) -> bytes:
    """The picture on white, with a palette: a third of the bytes."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    small = ground.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()


def drawing(page: Any) -> Draw:
    """How this page of a browser (playwright's) makes the PNG of a figure."""
    page.add_script_tag(path=carried("plotly.min.js"))

    def draw(figure: dict[str, Any]) -> bytes:
        size = {"width": WIDTH, "height": figure["layout"].get("height") or HEIGHT, "scale": SCALE}
        return base64.b64decode(page.evaluate(DRAW, [figure, size]).partition(",")[2])

    return draw


def bake_units(units: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
    """Bake the solved notebooks of these units; yields the unit, its new pictures and the notebook's bytes."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
        draw = drawing(page)
        for unit in units:
            path = find_course().source(unit)
            notebook = read_notebook(path)
            new = bake(notebook, draw)
            write(path, notebook)
            yield unit, new, path.stat().st_size
        page.context.browser.close()  # type: ignore[union-attr]


def write(path: Path, notebook: NotebookNode) -> None:
    """As nbformat writes it."""
    import nbformat

    write_whole(path, nbformat.writes(notebook) + "\n")


if __name__ == "__main__":
    for unit, new, size in bake_units(tuple(sys.argv[1:]) or find_course().units()):
        print(f"{unit}: {new} new pictures, notebook {size // 1000} kB")
