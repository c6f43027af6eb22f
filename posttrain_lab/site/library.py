"""The pages of the library: its public names with their docstrings, which are plain text with `code` and examples."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MODULES = (
    "data", "models", "training", "metrics", "measure", "passport", "comparisons", "pruning", "quantization", "kernels",
    "finetuning", "calibration", "auditing", "clinic", "projects.edge", "widgets",
)  # fmt: skip
WIDE = 90  # a line below so many characters that is not the last of its paragraph was ended on purpose


def library_pages() -> dict[str, str]:
    """The sources of the pages, by their paths: one for each module, and a list of them.

    >>> print(library_pages()["library/metrics.rst"])
    posttrain_lab.metrics
    =====================
    <BLANKLINE>
    .. automodule:: posttrain_lab.metrics
       :members:
    <BLANKLINE>
    """
    pages = {}
    for name in MODULES:
        full = f"posttrain_lab.{name}"
        pages[f"library/{name}.rst"] = f"{full}\n{'=' * len(full)}\n\n.. automodule:: {full}\n   :members:\n"
    names = "\n   ".join(MODULES)
    pages["library/index.rst"] = (
        "The library\n===========\n\nWhat a notebook can import. Each function of an exercise is here as a tested version of it.\n\n"
        f".. toctree::\n   :maxdepth: 1\n\n   {names}\n"
    )
    return pages


def as_restructured(lines: list[str]) -> list[str]:
    """A plain docstring as Sphinx's markup, with the same words: `code` is code, an indented or an example's line stays as it is.

    >>> as_restructured(["A 2*2 matrix.", "", ">>> f(1)", "1"])
    ['A 2\\\\*2 matrix.', '', '>>> f(1)', '1', '']
    """
    made: list[str] = []
    for paragraph in "\n".join(lines).strip("\n").split("\n\n"):
        made += [*_paragraph(paragraph.split("\n")), ""]
    return made


def _paragraph(lines: list[str]) -> list[str]:
    if lines[0].startswith(">>>"):
        return lines
    if lines[0].startswith(" ") or any(re.search(r"\S {3,}\S", line) for line in lines):  # set in columns
        return ["::", "", *(f"    {line}" for line in lines)]
    for place, line in enumerate(lines):
        if line.startswith(">>>"):  # an example right below its sentence
            return [*_paragraph(lines[:place]), "", *lines[place:]]
    escaped = [_escaped(line.strip()) for line in lines]
    broken = len(lines) > 1 and any(len(line) < WIDE for line in lines[:-1])
    return [f"| {line}" for line in escaped] if broken else escaped


def _escaped(line: str) -> str:
    """Outside of `code`, signs that are markup to Sphinx are the signs themselves; `\\ ` separates code from what it touches."""
    parts = re.split(r"`([^`]+)`", line)
    return "".join(f"\\ ``{part}``\\ " if place % 2 else re.sub(r"([\\*_|`])", r"\\\1", part) for place, part in enumerate(parts))


def _docstring(app: "Sphinx", what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_restructured(lines)


def _signature(app: "Sphinx", what: str, name: str, thing: Any, options: Any, given: str | None, back: str | None) -> tuple:
    return tuple(text and short_names(text) for text in (given, back))


def short_names(signature: str) -> str:
    """Types by their last names, as the code has them.

    >>> short_names("(x: ~jaxtyping.Float[Tensor, 'n'], f: ~collections.abc.Callable[[int], None])")
    "(x: Float[Tensor, 'n'], f: Callable[[int], None])"
    """
    return re.sub(r"~(?:\w+\.)*(\w+)", r"\1", signature)


def setup(app: "Sphinx") -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
