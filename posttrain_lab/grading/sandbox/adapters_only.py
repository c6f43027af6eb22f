"""Of the exercises' modules, only the adapters and what they use: the rest, which knows the answers, is not shown to a submission."""

import ast

MARKS = {"adapter", "watcher"}
Definition = ast.FunctionDef | ast.ClassDef
Imported = ast.Import | ast.ImportFrom


def adapters_only(sources: dict[str, str], package: str) -> dict[str, str]:
    """The texts of a package's modules, by name, without everything that no adapter needs; modules that are not needed are left out.

    >>> adapters = "import math, torch\\nfrom p.parts import half, oracle\\n@adapter\\ndef a(f, x):\\n    return f(half(x))\\n"
    >>> adapters += "def right(x):\\n    return oracle(x)"
    >>> parts = "def half(x):\\n    return x / 2\\ndef oracle(x):\\n    return 3 * x"
    >>> for name, text in adapters_only({"a": adapters, "parts": parts}, "p").items():
    ...     print(name, text, sep=": ")
    a: from p.parts import half
    <BLANKLINE>
    @adapter
    def a(f, x):
        return f(half(x))
    parts: def half(x):
        return x / 2
    """
    trees = {name: ast.parse(text) for name, text in sources.items()}
    binds = {node: _binds(node) for tree in trees.values() for node in tree.body}
    wanted = {name: set[str]().union(*(binds[node] for node in tree.body if _is_marked(node))) for name, tree in trees.items()}
    growing = True
    while growing:
        growing = False
        for name, tree in trees.items():
            for node in tree.body:
                if binds[node] & wanted[name]:
                    for module, names in [(name, _names(node)), *_from_siblings(node, wanted[name], package)]:
                        growing |= not names <= wanted.get(module, names)
                        wanted.get(module, set()).update(names)
    return {
        name: _text(tree, wanted[name]) for name, tree in trees.items() if any(binds[node] & wanted[name] for node in tree.body)
    }


def _is_marked(node: ast.stmt) -> bool:
    return isinstance(node, Definition) and any(isinstance(mark, ast.Name) and mark.id in MARKS for mark in node.decorator_list)


def _binds(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a module defines; an import defines its names too."""
    if isinstance(node, Definition):
        return {node.name}
    if isinstance(node, Imported):
        return {_bound(alias) for alias in node.names}
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _names(node: ast.stmt) -> set[str]:
    """All names that a statement mentions; also those in annotations, which are evaluated."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _from_siblings(node: ast.stmt, wanted: set[str], package: str) -> list[tuple[str, set[str]]]:
    """What an import takes from another module of the package: its name, and the names."""
    if not isinstance(node, ast.ImportFrom):
        return []
    home = node.module or ""
    if node.level == 0 and not home.startswith(f"{package}."):
        return []
    return [(home.removeprefix(f"{package}."), {alias.name for alias in node.names if _bound(alias) in wanted})]


def _text(tree: ast.Module, wanted: set[str]) -> str:
    return ast.unparse(ast.Module([part for node in tree.body if (part := _part(node, wanted)) is not None], []))


def _part(node: ast.stmt, wanted: set[str]) -> ast.stmt | None:
    """The statement, an import with the wanted names only, or nothing."""
    if isinstance(node, Imported):
        names = [alias for alias in node.names if _bound(alias) in wanted]
        if not names:
            return None
        made = ast.Import(names) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, names, node.level)
        return ast.copy_location(made, node)
    return node if _binds(node) & wanted else None
