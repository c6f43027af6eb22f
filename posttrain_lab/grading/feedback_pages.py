"""Feedback pages in a fraction of the time: what is the same in all pages of a class is made once.

nbconvert compiles its templates for each page, formats every cell anew though most are the same in each submission, and reads the finished
page once more to give pictures a text. nbgrader_config.py names `FeedbackExporter` as the exporter of nbgrader's feedback.
"""

import re
from functools import lru_cache
from typing import Any

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode

KEPT, LONG = 512, 10_000  # texts that are kept; characters of one above which it is not
PICTURE = re.compile(r"<img (?![^>]*\balt=)")
NO_TEXT = '<img alt="No description has been provided for this image" '


class _InMemory(BytecodeCache):
    """Compiled templates. Jinja itself sees by the source whether one has changed."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _InMemory()


class FeedbackExporter(HTMLExporter):
    """nbconvert's HTMLExporter for pages whose cells `SafeCells` has made: no widgets, and every tag whole."""

    @property
    def environment(self) -> Environment:
        found = super().environment
        found.bytecode_cache = _COMPILED
        return found

    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **kw: Any) -> tuple[str, Any]:
        """The page, and nbconvert's resources."""
        self.register_filter("highlight_code", highlighted)
        page, resources = super(HTMLExporter, self).from_notebook_node(nb, self._init_resources(resources), **kw)
        return PICTURE.sub(NO_TEXT, page), resources


def highlighted(source: str, language: str | None = None, metadata: object = None) -> str:
    """nbconvert's filter `highlight_code` for cells of a Python notebook.

    >>> highlighted("pass")
    '<div class=" highlight hl-ipython3"><pre><span></span><span class="k">pass</span>\\n</pre></div>\\n'
    """
    return (_kept if len(source) < LONG else _highlighted)(source)


def _highlighted(source: str) -> str:
    return Highlight2HTML(pygments_lexer="ipython3")(source)


_kept = lru_cache(KEPT)(_highlighted)
