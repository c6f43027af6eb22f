"""Slides of a unit, from its page: each part, each exercise, and each figure with its question, in one file that needs no network."""

import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from nbformat import NotebookNode

from posttrain_lab.site.carried import carried
from posttrain_lab.site.pages import SEEN

LOOK = Path(__file__).parent / "look"
HEADING = re.compile(r"(?m)^(?=#{1,3} )")
LOCAL = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")  # links to other pages: a slide is a file of its own
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>{style}</style></head>
<body><div class="reveal"><div class="slides">
{slides}
</div></div>
{scripts}
<script>Reveal.initialize({{hash: true, width: 1100, height: 620, margin: 0.06, center: false, slideNumber: "c/t", transition: "none"}});</script>
</body></html>
"""


def deck(page: NotebookNode) -> str:
    """The slides of a unit as a whole HTML file: reveal.js, plotly.js and the figures are in it."""
    slides = list(slides_of(page))
    title = re.search(r"<h1>(.*?)</h1>", slides[0])
    static = "".join(f"<script>{script}</script>" for script in _scripts())
    sections = "\n".join(f"<section>{slide}</section>" for slide in slides)
    style = carried("reveal.css").read_text(encoding="utf-8") + (LOOK / "slides.css").read_text(encoding="utf-8")
    return PAGE.format(title=title[1] if title else "Slides", style=style, slides=sections, scripts=static)


def slides_of(page: NotebookNode) -> Iterator[str]:
    """In the order of the page. The text between a figure and the heading before it leads to the figure."""
    cells, lead = page.cells, ""
    for cell, after in zip(cells, [*cells[1:], NotebookNode(cell_type="markdown", source="")], strict=True):
        if cell.cell_type == "markdown":
            for part in filter(str.strip, HEADING.split(cell.source)):
                lead = "" if part.startswith("#") else part
                if part.startswith("#"):
                    yield _section(part)
            continue
        question = _question(after.source if after.cell_type == "markdown" else "")
        for output in cell.get("outputs", ()):
            if shown := output.get("data", {}).get("text/html"):
                said = question or ("" if "**Question" in lead else lead)
                yield f'<div class="pair"><div>{shown}</div><div>{markdown(said)}</div></div>'


def _section(part: str) -> str:
    """A heading with its first paragraph; of an exercise also the formulas, the tables and what is to be predicted."""
    heading, _, text = re.sub(r"<details>.*?</details>", "", part, flags=re.S).partition("\n")
    paragraphs = [p for p in text.strip().split("\n\n") if p.strip() and not p.startswith("*Difficulty")]
    if heading.startswith("# "):
        kept = [*paragraphs[:1], *(p for p in paragraphs if p.startswith("**The question"))]
    else:
        kept = [p for place, p in enumerate(paragraphs) if place == 0 or p.startswith(("$$", "|", "**Predict", "**Aim"))]
    return markdown("\n\n".join([heading, *kept]))


def _question(text: str) -> str:
    """The question below a figure, with its answer, which is folded.

    >>> _question("*What is seen: a line.*\\n\\n**Question.** Why?\\n\\n### Next")
    '**Question.** Why?'
    """
    text = HEADING.split(SEEN.sub("", text))[0]
    return text[text.index("**Question") :].strip() if "**Question" in text else ""


@cache
def _parser():
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    return parser.use(dollarmath_plugin, renderer=_formula)


def _formula(text: str, how: dict[str, bool]) -> str:
    """As MathJax finds it."""
    return rf"\[{html.escape(text)}\]" if how["display_mode"] else rf"\({html.escape(text)}\)"


def markdown(text: str) -> str:
    """Markdown with formulas as HTML, without links to other pages.

    >>> markdown("# [One](../one.md) *word*")
    '<h1>One <em>word</em></h1>\\n'
    """
    return _parser().render(LOCAL.sub(r"\1", text))


@cache
def _scripts() -> tuple[str, ...]:
    paths = (carried("reveal.js"), carried("plotly.min.js"), LOOK / "figures.js", carried("tex-svg.js"))
    scripts = [path.read_text(encoding="utf-8").replace("</script", r"<\/script") for path in paths]
    return ("MathJax = { options: { enableMenu: false } };", *scripts)
