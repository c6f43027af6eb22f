"""Add a line to a Python source where it belongs, without touching anything else: to a listing, or to the imports."""

import ast
import re
from pathlib import Path

from posttrain_lab.grading.course import CourseError


def listed(text: str, name: str, where: Path) -> ast.expr:
    """What a source assigns to `name` at its top. Raises CourseError when it assigns nothing."""
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if (
            name in [getattr(target, "id", None) for target in targets]
            and isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value
        ):
            return node.value
    raise CourseError(f"{where} has no line `{name} = ...` to add to; write it.")


def with_item(text: str, name: str, item: str, where: Path, key: str = "") -> str:
    """The source with one more item in the tuple, dict or call that `name` is assigned to (or in the dict under its `key`).

    >>> print(with_item("A = (\\n    1,\\n)\\n", "A", "2", Path("a.py")), end="")
    A = (
        1,
        2,
    )
    >>> print(with_item("B = {}\\n", "B", '"x": 1', Path("b.py")), end="")
    B = {
        "x": 1,
    }
    >>> print(with_item("C = {'x': {'y': 1}}\\n", "C", "'z': 2", Path("c.py"), key="x"), end="")
    C = {'x': {'y': 1, 'z': 2}}
    """
    node, indent = listed(text, name, where), ""
    if key:
        assert isinstance(node, ast.Dict)
        node = next(
            value for known, value in zip(node.keys, node.values, strict=True) if known and ast.literal_eval(known) == key
        )
        indent = "    "
    items, end = _items(node), _offset(text, node.end_lineno or 0, node.end_col_offset or 0) - 1
    inside = text[:end].rstrip()
    if isinstance(node, ast.Tuple) and not items:
        return f"{inside}{item},{text[end:]}"
    if items and "\n" not in text[len(inside) : end]:  # all on one line
        return f"{inside.rstrip(',')}, {item}{text[end:]}"
    lines = "".join(f"{indent}    {line}\n" for line in f"{item},".splitlines())
    return f"{inside}\n{lines}{indent}{text[end:]}"


def with_import(text: str, line: str) -> str:
    """The source with one more import of ours, among those in the order of the alphabet; below the docstring when it has none.

    >>> print(with_import("import a\\n\\nfrom posttrain_lab.a import a\\nfrom posttrain_lab.c import c\\n", "from posttrain_lab.b import b"))
    import a
    <BLANKLINE>
    from posttrain_lab.a import a
    from posttrain_lab.b import b
    from posttrain_lab.c import c
    <BLANKLINE>
    """
    ours = list(re.finditer(r"^from posttrain_lab\S* import .+\n", text, re.MULTILINE))
    if not ours:
        first = ast.parse(text).body[0]
        place = _offset(text, (first.end_lineno or 0) + 1, 0)
        return f"{text[:place]}\n{line}\n{text[place:]}"
    place = next((found.start() for found in ours if found[0] > line), ours[-1].end())
    return f"{text[:place]}{line}\n{text[place:]}"


def _below(node: ast.expr, key: str) -> ast.expr:
    """What a dict has under this key."""
    assert isinstance(node, ast.Dict)
    return next(value for known, value in zip(node.keys, node.values, strict=True) if known and ast.literal_eval(known) == key)


def _items(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.Tuple):
        return node.elts
    return node.values if isinstance(node, ast.Dict) else [*getattr(node, "args", ())]


def _offset(text: str, line: int, column: int) -> int:
    """The place in the text of a line, counted from 1, and a column in bytes, as `ast` counts."""
    lines = text.splitlines(keepends=True)
    here = lines[line - 1].encode() if line <= len(lines) else b""
    return sum(map(len, lines[: line - 1])) + len(here[:column].decode())
