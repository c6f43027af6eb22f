"""Was this notebook made from another release of the unit? Its cells still carry the checksums that nbgrader gave them then."""

from collections.abc import Iterable, Mapping
from typing import Any

from nbformat import NotebookNode


def other_release(cells: Iterable[NotebookNode], known: Mapping[str, Any]) -> tuple[str, ...]:
    """The exercises whose released cell was another one than the gradebook's, by grade_id; none where the notebook does not tell.

    Compared are the cells that students write into and that carry no points (points may be changed in grading.toml), by the
    checksum in the submitted metadata. A forged checksum gains nothing: the answer is graded in the same way, and named or not.
    """
    found: list[str] = []
    for cell in cells:
        data = cell.metadata.get("nbgrader", {})
        name, then = data.get("grade_id"), data.get("checksum")
        if not (isinstance(name, str) and isinstance(then, str)) or data.get("grade"):
            continue
        now = known[name].metadata.nbgrader if name in known else None
        if now is None or (_written_into(now) and now.get("checksum") not in (None, then)):
            found.append(name[:80])
    return tuple(dict.fromkeys(found))


def remark(names: tuple[str, ...]) -> str:
    """One sentence for the report, or an empty text."""
    if not names:
        return ""
    more = ", ..." if len(names) > 4 else ""
    return f"made from another release of the unit ({', '.join(names[:4])}{more}); graded by the present one, so look at it"


def _written_into(data: Any) -> bool:
    return bool(data.get("solution")) and not data.get("grade")
