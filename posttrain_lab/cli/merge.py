"""A new release of a notebook into one that somebody works in: what they wrote stays, what is new or changed comes in.

As `diff3` does it for lines: a cell that was not changed since its release is taken from the new release, one that was changed is
theirs. Nothing is merged inside a cell; the learner decides about a cell that both have changed.
"""

import copy
from collections import defaultdict
from dataclasses import dataclass

from nbformat import NotebookNode

Cells = dict[str, NotebookNode]
SAME, NEW, CHANGED, BOTH = "same", "new", "changed", "both"


@dataclass(frozen=True)
class Merged:
    """The notebook, how many cells came in new or changed, and the cells that learner and release changed: the learner's stayed."""

    notebook: NotebookNode
    new: int
    changed: int
    both: tuple[str, ...]


def merged(base: NotebookNode, new: NotebookNode, mine: NotebookNode) -> Merged:
    """What `mine`, begun from the release `base`, becomes with the release `new`.

    Cells are known by nbgrader's name, else by their id. The order is that of the release; a cell of the learner's own stays below
    the one it stood below. A cell that the learner deleted comes back only if it was changed. Raises ValueError when two cells have
    one name, or none of the release is in `mine`: then nobody can tell what belongs together.

    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> base, new, mine = (new_notebook(cells=[new_code_cell(text, id="a")]) for text in ("x = 1", "x = 2", "x = 1"))
    >>> mine.cells.append(new_code_cell("x + 5", id="b"))
    >>> [cell.source for cell in merged(base, new, mine).notebook.cells]
    ['x = 2', 'x + 5']
    """
    was, now, own = _named(base), _named(new), _named(mine)
    if not own.keys() & was.keys():
        raise ValueError("yours has no cell of the release that it was made from")
    found = {name: _chosen(was.get(name), cell, own.get(name)) for name, cell in now.items()}
    chosen = {name: cell for name, (cell, _) in found.items() if cell}
    below = _below(was, own, chosen)
    result = copy.deepcopy(new)
    result.metadata = NotebookNode({**new.metadata, **mine.metadata})
    result.cells = [*below[""], *(cell for name in chosen for cell in (chosen[name], *below[name]))]
    how = [what for _, what in found.values()]
    return Merged(result, how.count(NEW), how.count(CHANGED), tuple(name for name, (_, what) in found.items() if what == BOTH))


def same_release(new: NotebookNode, mine: NotebookNode) -> bool:
    """Is `mine` this very release, with changes only where a student writes, and cells of their own?"""
    now, own = _named(new), _named(mine)
    return all(name in own and (_written_into(cell) or own[name].source == cell.source) for name, cell in now.items())


def _named(notebook: NotebookNode) -> Cells:
    """The cells by nbgrader's name or by their id."""
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id") or cell.get("id", ""): cell for cell in notebook.cells}
    if len(cells) < len(notebook.cells) or "" in cells:
        raise ValueError("two cells of the notebook have one name")
    return cells


def _chosen(was: NotebookNode | None, now: NotebookNode, own: NotebookNode | None) -> tuple[NotebookNode | None, str]:
    """The cell that stays, and why; none when the learner deleted it and it is as it was. A check is always the release's."""
    changed = was is None or was.source != now.source
    if own is None:
        return (now, NEW) if changed or now.metadata.get("nbgrader") else (None, SAME)
    if own.source != now.source and (_is_check(now) or (was and own.source == was.source)):
        return now, CHANGED
    kept = copy.deepcopy(own)
    kept.metadata = NotebookNode({**own.metadata, **now.metadata})
    return kept, BOTH if changed and own.source != now.source else SAME


def _below(was: Cells, own: Cells, chosen: Cells) -> defaultdict[str, list[NotebookNode]]:
    """The cells that only the learner has, by the name of the cell above; first ones by an empty name."""
    below, above = defaultdict(list), ""
    for name, cell in own.items():
        if name in chosen:
            above = name
        elif not (name in was and (was[name].source == cell.source or _is_check(cell))):
            below[above].append(cell)
    return below


def _is_check(cell: NotebookNode) -> bool:
    data = cell.metadata.get("nbgrader", {})
    return bool(data.get("grade")) and not data.get("solution")


def _written_into(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))
