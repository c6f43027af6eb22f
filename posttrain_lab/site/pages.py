"""A unit's page: the student's notebook as released, with the outputs of the solved one. Hidden tests are in neither.

What a student has to write is missing as in the notebook; for those who learn alone a solution can follow it, folded.
"""

import posixpath
import re
from collections.abc import Callable

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from posttrain_lab.glossary import TERMS
from posttrain_lab.grading.release import WAY_ON
from posttrain_lab.site.outputs import STATE, shown

REPOSITORY = "https://github.com/posttrain-lab/posttrain-lab"
MARKER = re.compile(r"(?m)^[ \t]*### (BEGIN|END) SOLUTION\n?")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
SEEN = re.compile(r"\*What is seen: (.+?)\*(?:\n\n|\Z)", re.S)
FOLDED = ["hide-input"]
MEANINGS = {term.anchor: term.meaning for term in TERMS}


def unit_page(student: NotebookNode, solved: NotebookNode, unit: str, solutions: bool = False) -> NotebookNode:
    """The page of a unit. The two notebooks have the same cells, by their ids, but for the links at the end; nothing is executed.

    With `solutions`, the course's own answer follows each exercise, folded.
    """
    ran = {cell.id: cell for cell in solved.cells}
    state = solved.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    cells = []
    for cell, seen in zip(student.cells, said_below(student), strict=True):
        if cell.id == WAY_ON:  # the site has its own way to the other units
            continue
        cell = NotebookNode(cell | {"metadata": NotebookNode(tags=_tags(cell))})
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, f"course/{unit}")
            continue
        cell.outputs = [NotebookNode(shown(output, state, seen)) for output in ran[cell.id].get("outputs", ())]
        if solutions and MARKER.search(ran[cell.id].source):
            cells.append(solution_cell(ran[cell.id]))
    kept = {key: student.metadata[key] for key in ("kernelspec", "language_info") if key in student.metadata}
    return NotebookNode(student | {"cells": cells, "metadata": NotebookNode(kept)})


def solution_cell(cell: NotebookNode) -> NotebookNode:
    """The course's own answer as a cell of its own, folded.

    >>> solution_cell(new_code_cell("def f():\\n    ### BEGIN SOLUTION\\n    return 1\\n    ### END SOLUTION", id="a")).source
    'def f():\\n    return 1'
    """
    said = {"code_prompt_show": "One solution", "code_prompt_hide": "One solution"}
    about = {"tags": ["hide-cell", "solution"], "mystnb": said}
    return new_code_cell(MARKER.sub("", cell.source).rstrip(), id=f"{cell.id}-solution", metadata=about)


def _tags(cell: NotebookNode) -> list[str]:
    tags = cell.metadata.get("tags", [])
    exercise = ["exercise"] if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code" else []
    return exercise + (FOLDED if {"widget", "setup"} & set(tags) else [])


def said_below(notebook: NotebookNode) -> list[str]:
    """For each cell, what the text below it says is to be seen; "" where it says nothing."""
    below = [cell.source if cell.cell_type == "markdown" else "" for cell in notebook.cells[1:]] + [""]
    return [" ".join(found[1].split()) if (found := SEEN.search(source)) else "" for source in below]


def linked(text: str, folder: str) -> str:
    """The Markdown text of a file in `folder` of the repository, with links that lead to pages of the site, or to the repository.

    A link to a word of the glossary says what the word means when the mouse rests on it.

    >>> linked("[README](../README.md), [grading](grading.md)", "docs")
    '[README](https://github.com/posttrain-lab/posttrain-lab/blob/main/README.md), [grading](grading.md)'
    """
    return LINK.sub(_new_link(folder), text)


def _new_link(folder: str) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        anchor = match[2] or ""
        page = place(target)
        if not page:
            return f"]({REPOSITORY}/blob/main/{target}{anchor})"
        path = posixpath.relpath(page, place(f"{folder}/x.md").rpartition("/")[0] or ".")
        meaning = MEANINGS.get(anchor[1:], "") if page == "glossary.md" else ""
        title = ' "' + meaning.replace('"', "&quot;") + '"' if meaning else ""
        return f"]({path}{anchor}{title})"

    return replaced


def place(path: str) -> str:
    """Where a file of the repository is on the site; "" for one that is not a page.

    >>> place("course/glossary.md"), place("docs/grading.md"), place("README.md")
    ('glossary.md', 'docs/grading.md', '')
    """
    if not path.endswith((".md", ".ipynb")):
        return ""
    return path.removeprefix("course/") if path.startswith("course/") else path if path.startswith("docs/") else ""
