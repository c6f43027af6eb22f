"""The house's rules that can be counted: one name for one class, short modules, short functions, no private name from another module."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import posttrain_lab

PACKAGE = Path(posttrain_lab.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
MODULE_LINES, FUNCTION_LINES = 300, 30
# functions that may be longer, each with its reason
LONG_FUNCTIONS = {
    ("kernels/cpu/int4_microkernel.py", "four_rows"): "one tile of registers: Numba would not keep it in registers across a call",
    ("kernels/cpu/notebook.py", "in_tiles"): "its loops are the function that it compiles",
    ("kernels/gpu/interpreter.py", "_watched"): "the loads and stores of Triton, each with its replacement",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield name, node


def code_lines(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: what is to be explained may be long, what is done may not."""
    first = function.body[0]
    said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if said else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def foreign_private_names(tree: ast.Module) -> set[str]:
    """`_name` of another module of this package: imported, or reached through the module."""
    modules, found = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "posttrain_lab"):
            path = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found |= {part for part in path if private(part)}
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
            and private(node.attr)
        ):
            found.add(f"{node.value.id}.{node.attr}")
    return found


def test_there_is_something_to_look_at():
    assert len(MODULES) > 200
    assert sum(1 for _ in functions()) > 1000
    assert code_lines(ast.parse('def f():\n    """A\n\n    b\n    """\n    return 1').body[0]) == 2
    tree = ast.parse(
        "from posttrain_lab import measure\nfrom .masks import _cut, keep\nmeasure._device\nkeep(self._own)\n__name__"
    )
    assert foreign_private_names(tree) == {"_cut", "measure._device"}


def test_a_class_has_its_name_for_itself():
    places = defaultdict(list)
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_modules_are_short():
    lines = {name: len((PACKAGE / name).read_text("utf-8").splitlines()) for name in MODULES}
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}


def test_functions_are_short_but_for_those_that_say_why():
    long = {(name, function.name) for name, function in functions() if code_lines(function) > FUNCTION_LINES}
    assert long == set(LONG_FUNCTIONS)


def test_no_module_uses_a_private_name_of_another():
    found = {name: foreign_private_names(tree) for name, tree in MODULES.items()}
    assert {name: names for name, names in found.items() if names} == {}
