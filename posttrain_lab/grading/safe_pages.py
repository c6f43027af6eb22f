"""Pages made from students' notebooks (feedback, formgrader) run nothing of theirs, load nothing, and cannot look like the page around.

nbgrader's templates show markdown as raw HTML whatever `sanitize_html` says, and write an output's width into a tag without quotes. So
nbgrader_config.py names two things of this file for every HTML page: the filter `markdown2html`, and the preprocessor `SafeCells`.
"""

import re
from functools import lru_cache
from typing import Any

import bleach
from bleach.sanitizer import ALLOWED_TAGS
from nbconvert import filters
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_output

TAGS = frozenset(ALLOWED_TAGS) | {
    *("p", "br", "hr", "div", "span", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "sub", "sup", "dl", "dt", "dd", "del"),
    *("table", "thead", "tbody", "tr", "th", "td", "caption", "img", "details", "summary"),
}
ATTRIBUTES = {"a": ["href", "title"], "abbr": ["title"], "th": ["colspan", "rowspan"], "td": ["colspan", "rowspan"]}
PICTURES = ("image/png", "image/jpeg")
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
TAG, MARK = re.compile(r"[\w-]+"), re.compile("<[^>]*>")
KEPT, LONG = 512, 10_000  # texts that are kept; characters of one above which it is not
UNSEEN = re.compile("<(script|style|noscript|template)(?![a-z0-9-])", re.IGNORECASE)  # the text in them is no text to read
END = {name: re.compile(f"</{name}(?![a-z0-9-])", re.IGNORECASE) for name in ("script", "style", "noscript", "template")}
LARGE = 100_000  # characters of one HTML output: above that, cleaning takes longer than grading
NOT_SHOWN = "(an output of this kind is not shown here)"
TOO_LARGE = "(an output of {length:,} characters is not shown here)"


def clean(html: str) -> str:
    """The HTML with the tags that text needs, and no script, style, form, frame, address of another kind than http(s) or mailto.

    >>> clean('<b onclick="x()">bold</b><script>x()</script><a href="javascript:x()">link</a>')
    '<b>bold</b>&lt;script&gt;x()&lt;/script&gt;<a>link</a>'
    """
    return bleach.clean(html, tags=TAGS, attributes={**ATTRIBUTES, "img": _of_picture})


def readable(html: str) -> str:
    """What a reader sees of an output: without scripts, styles, and tags that `clean` would show as text. (plotly.js is 5 MB of them.)

    >>> readable("<style>b {color: red}</style><form><b>Your guess</b>: 5 <SCRIPT >x(1)</script x></form> points")
    '<b>Your guess</b>: 5  points'
    """
    seen, at = [], 0
    while found := UNSEEN.search(html, at):
        seen.append(html[at : found.start()])
        end = END[found[1].lower()].search(html, found.end())
        at = html.find(">", end.end()) + 1 if end else 0
        if not at:  # it never ends: all that follows belongs to it
            html = ""
    text = "".join([*seen, html[at:]])
    if len(text) > LARGE:
        return TOO_LARGE.format(length=len(text))
    return bleach.clean(text, tags=TAGS, attributes={**ATTRIBUTES, "img": _of_picture}, strip=True)


def _of_picture(tag: str, name: str, value: str) -> bool:
    """A picture beside the notebook; one from elsewhere would tell who reads the page."""
    return name == "alt" or (name == "src" and ":" not in value and not value.startswith(("/", "\\")))


def markdown2html(source: str) -> str:
    """nbconvert's filter of this name, and then only what `clean` lets through. (Most texts are the same in each page of a class.)"""
    return (_kept if len(source) < LONG else _converted)(source)


def _converted(source: str) -> str:
    return clean(filters.markdown2html(source))


_kept = lru_cache(KEPT)(_converted)


class SafeCells(Preprocessor):
    """nbconvert preprocessor: cells without a student's metadata, and outputs of kinds that can do nothing."""

    enabled = True

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> tuple[NotebookNode, Any]:
        kept: dict[str, Any] = {"tags": [tag for tag in cell.metadata.get("tags", []) if TAG.fullmatch(str(tag))]}
        if "nbgrader" in cell.metadata:
            kept["nbgrader"] = cell.metadata.nbgrader
        cell.metadata = NotebookNode(kept)
        cell.pop("attachments", None)
        if cell.cell_type == "raw":
            cell.source = clean(cell.source)
        if cell.cell_type == "code":
            cell.outputs = [_safe(output) for output in cell.outputs]
        return cell, resources


def _safe(output: NotebookNode) -> NotebookNode:
    """An output made anew: its texts, its picture, or its cleaned HTML."""
    if output.output_type == "stream":
        return new_output("stream", name="stdout" if output.name != "stderr" else "stderr", text=str(output.text))
    if output.output_type == "error":
        lines = [str(line) for line in output.traceback]
        return new_output("error", ename=str(output.ename), evalue=str(output.evalue), traceback=lines)
    data = {kind: value if isinstance(value, str) else "".join(map(str, value)) for kind, value in output.data.items() if value}
    shown = {kind: data[kind] for kind in PICTURES if BASE64.fullmatch(data.get(kind, "-"))}
    if not shown and "text/html" in data:
        html = readable(data["text/html"])
        shown["text/html"] = html if "<img" in html or MARK.sub("", html).strip() else NOT_SHOWN
    elif not shown:
        shown["text/plain"] = data.get("text/plain", NOT_SHOWN)
    return new_output("display_data", data=shown)
