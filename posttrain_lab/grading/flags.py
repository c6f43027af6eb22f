"""What does the text of a submission say before it is run? By its syntax tree: who uses the library's own answer, and who looks for the grader.

An exercise that closes the library (`Exercise.library`) says "write it yourself": an answer whose cell names the library's function has
no points. The rest is a remark for a person, who decides.
"""

import ast
from collections.abc import Iterator
from dataclasses import replace

from nbformat import NotebookNode

from posttrain_lab.checks.engine.exercise import Exercise, Verdict
from posttrain_lab.checks.engine.own_work import USED

PACKAGE = "posttrain_lab"
GRADERS = ("posttrain_lab.checks.", "posttrain_lab.grading")
SEEKERS = {"gc", "inspect", "importlib", "ctypes"}  # modules by which a process is searched
WORDS = {"kernel_side", "__import__", "get_objects", "get_referrers", "getsource"}


def own_work(verdict: Verdict, exercise: Exercise, source: str) -> Verdict:
    """The verdict; a passed one fails when the answer's cell names the library's own function for the job."""
    name = library_used(source, exercise.library) if verdict.passed else ""
    if not name:
        return verdict
    return replace(verdict, passed=False, points=0, message=f"{exercise.name}: {USED.format(name=name)}.")


def library_used(source: str, library: str) -> str:
    """The first function of "module:name ..." (below posttrain_lab) that a cell imports, or reaches through its module; else empty.

    >>> library_used("from posttrain_lab.metrics import accuracy as a", "metrics:accuracy")
    'accuracy'
    >>> library_used("def f(x):\\n    return metrics.accuracy(x)", "metrics:accuracy")
    'accuracy'
    >>> library_used("def accuracy(x):\\n    return self.accuracy(x)", "metrics:accuracy")
    ''
    """
    wanted = {one.partition(":")[2]: one.partition(":")[0] for one in library.split()}
    tree = _tree(source)
    homes = {PACKAGE, *(part for module in wanted.values() for part in module.split(".")), *_other_names(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            found = [alias.name for alias in node.names if alias.name in wanted]
        elif isinstance(node, ast.Attribute) and node.attr in wanted and _root(node) in homes:
            found = [node.attr]
        else:
            continue
        if found:
            return found[0]
    return ""


def remarks(cells: list[NotebookNode]) -> list[str]:
    """A sentence for each of the student's cells that looks for the checks or the grader; a person decides what it means."""
    found = []
    for number, cell in enumerate(cells, 1):
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("locked"):
            words = sorted(set(_suspicious(_tree(cell.source))))
            if words:
                found.append(f"Cell {number} names {', '.join(words)}; look at what it does.")
    return found


def _suspicious(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute | ast.Name):
            word = node.attr if isinstance(node, ast.Attribute) else node.id
            if word in WORDS:
                yield word
            continue
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in SEEKERS or name.startswith(GRADERS))


def _other_names(tree: ast.AST) -> set[str]:
    """The names under which a cell imports modules of the package."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    return {alias.asname for node in imports for alias in node.names if alias.asname and alias.name.split(".")[0] == PACKAGE}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _tree(source: str) -> ast.AST:
    """The cell's syntax tree; an empty one for a magic command or an unfinished cell."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
