"""Was this notebook made from another release of the unit? Its cells still carry the checksums that nbgrader gave them then."""

from collections.abc import Iterable, Mapping
from typing import Any

from nbformat import NotebookNode

CUT_OUT = ("BEGIN MARK SCHEME", "BEGIN HIDDEN TESTS")  # nbgrader releases a cell without them, with another checksum


def other_release(cells: Iterable[NotebookNode], known: Mapping[str, Any]) -> tuple[str, ...]:
    """The exercises whose released cell was another one than the gradebook's, by grade_id; none where the notebook does not tell.

    Compared are the cells that students write into, by the checksum in the submitted metadata; a paragraph that a person marks
    where its points are still the same, since they are part of the checksum and may be changed in grading.toml. A forged checksum
    gains nothing: the answer is graded in the same way, and named or not. (That a whole exercise is missing is told by `each_once`.)
    """
    found: list[str] = []
    for cell in cells:
        data = cell.metadata.get("nbgrader", {})
        name, then = data.get("grade_id"), data.get("checksum")
        if not (isinstance(name, str) and isinstance(then, str)) or _check(data):
            continue
        now = known.get(name)
        if now is None or (_comparable(now, data) and now.metadata.nbgrader.get("checksum") not in (None, then)):
            found.append(name[:80])
    return tuple(dict.fromkeys(found))


def remark(names: tuple[str, ...]) -> str:
    """One sentence for the report, or an empty text."""
    if not names:
        return ""
    more = ", ..." if len(names) > 4 else ""
    return f"made from another release of the unit ({', '.join(names[:4])}{more}); graded by the present one, so look at it"


def _check(data: Any) -> bool:
    """A locked check: its text is the gradebook's in any case."""
    return bool(data.get("grade")) and not data.get("solution")


def _comparable(now: Any, submitted: Any) -> bool:
    """Is it written into, was it released as the gradebook has it, and does it still carry the same points?"""
    data = now.metadata.nbgrader
    same = not data.get("grade") or data.get("points") == submitted.get("points")
    return bool(data.get("solution")) and same and not any(mark in now.source for mark in CUT_OUT)
