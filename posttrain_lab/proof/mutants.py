"""Mutants of a right answer: one small change of its source text each, as a tired programmer makes it.

An operator is exchanged, a comparison moved, a constant shifted by one, a statement or a call left out, an axis turned. Operators whose
mutants are mostly right answers too are left out (another width of integers, `.double()` dropped, `strict=` dropped or turned).
"""

import ast
import copy
import difflib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BINARY: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
}
COMPARE: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
PAIRS = "min max, amin amax, argmin argmax, minimum maximum, sum mean, zeros ones, zeros_like ones_like, any all, train eval, floor ceil"
EXCHANGED = {a: b for pair in PAIRS.split(", ") for a, b in (pair.split(), pair.split()[::-1])} | {
    "round": "floor",
    "sqrt": "square",
}
LEFT_OUT = "abs clone round sqrt square clamp clip mean sum sort norm neg exp log transpose flip cumsum diff trunc floor ceil"
DROPPED = set(LEFT_OUT.split())
Place = tuple[str, ast.AST]  # what was done, and the node in the old one's place


@dataclass(frozen=True)
class Mutant:
    """One changed source. `change` says what was done in which line: "12: Add -> Sub"; `text` shows the line: "a + b -> a - b"."""

    change: str
    source: str
    text: str


def mutants(source: str, names: tuple[str, ...] = ()) -> list[Mutant]:
    """All mutants of the definitions `names` in a source text (of all definitions, without names), each once, always in the same order.

    >>> [m.change for m in mutants("def f(a, b):\\n    return a + 1 < b")]
    ['2: Lt -> LtE', '2: Lt -> Gt', '2: Add -> Sub', '2: left of Add', '2: right of Add', '2: 1 -> 2', '2: 1 -> 0']
    """
    tree = ast.parse(source)
    before = ast.unparse(tree)
    found, seen = [], {before}
    for number, node in enumerate(ast.walk(tree)):
        if not _belongs(tree, node, names):
            continue
        for which, (words, _) in enumerate(_places(node)):
            twin = copy.deepcopy(tree)
            target = list(ast.walk(twin))[number]
            new = list(_places(target))[which][1]
            text = ast.unparse(ast.fix_missing_locations(_Put(target, new).visit(twin)))
            if text not in seen:
                seen.add(text)
                found.append(Mutant(f"{getattr(node, 'lineno', 0)}: {words}", text, _changed_lines(before, text)))
    return found


def _changed_lines(before: str, after: str) -> str:
    """The lines that differ, without their indentation: "x = a + b -> x = a - b"."""
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "-+"]
    old, new = ("; ".join(line[2:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return f"{old} -> {new}"


def chosen(found: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """So many of them, by the seed."""
    return found if count >= len(found) else random.Random(seed).sample(found, count)


class _Put(ast.NodeTransformer):
    """Puts a node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return ast.copy_location(self.new, node)
        return self.generic_visit(node)


def _belongs(tree: ast.Module, node: ast.AST, names: tuple[str, ...]) -> bool:
    """Is it inside one of these definitions, and no part of an annotation or of a decorator, and not the value of `strict=`?"""
    if any(node is keyword.value for keyword in ast.walk(tree) if isinstance(keyword, ast.keyword) and keyword.arg == "strict"):
        return False
    tops = [top for top in tree.body if isinstance(top, ast.FunctionDef | ast.ClassDef) and (not names or top.name in names)]
    return any(node is inner for top in tops for part in _bodies(top) for inner in ast.walk(part))


def _bodies(definition: ast.FunctionDef | ast.ClassDef) -> Iterator[ast.AST]:
    for part in definition.body:
        yield from _bodies(part) if isinstance(part, ast.FunctionDef | ast.ClassDef) else (part,)
    if isinstance(definition, ast.FunctionDef):
        yield from definition.args.defaults


def _places(node: ast.AST) -> Iterator[Place]:
    for kind, places in PLACES.items():
        if isinstance(node, kind):
            yield from places(node)


def _binary(node: ast.BinOp) -> Iterator[Place]:
    old = type(node.op)
    for new in BINARY.get(old, ()):
        yield f"{old.__name__} -> {new.__name__}", ast.BinOp(node.left, new(), node.right)
    yield f"left of {old.__name__}", node.left
    yield f"right of {old.__name__}", node.right


def _augmented(node: ast.AugAssign) -> Iterator[Place]:
    for new in BINARY.get(type(node.op), ()):
        yield f"{type(node.op).__name__}= -> {new.__name__}=", ast.AugAssign(node.target, new(), node.value)
    yield "augmented -> plain", ast.Assign([node.target], node.value)


def _compared(node: ast.Compare) -> Iterator[Place]:
    for new in COMPARE.get(type(node.ops[0]), ()) if len(node.ops) == 1 else ():
        yield f"{type(node.ops[0]).__name__} -> {new.__name__}", ast.Compare(node.left, [new()], node.comparators)


def _both(node: ast.BoolOp) -> Iterator[Place]:
    yield "and <-> or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = node.values[:index] + node.values[index + 1 :]
        yield f"without operand {index}", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _unary(node: ast.UnaryOp) -> Iterator[Place]:
    yield f"without {type(node.op).__name__}", node.operand


def _constant(node: ast.Constant) -> Iterator[Place]:
    value = node.value
    if isinstance(value, bool):
        yield f"{value} -> {not value}", ast.Constant(not value)
    elif isinstance(value, int):
        yield from ((f"{value} -> {new}", ast.Constant(new)) for new in (value + 1, value - 1))
    elif isinstance(value, float):
        yield f"{value} -> {2 * value or 1.0}", ast.Constant(2 * value or 1.0)


def _conditional(node: ast.If | ast.IfExp | ast.While) -> Iterator[Place]:
    twin = copy.copy(node)
    twin.test = ast.UnaryOp(ast.Not(), node.test)
    yield "condition negated", twin


def _statement(node: ast.Assign | ast.Expr | ast.AugAssign) -> Iterator[Place]:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)  # a docstring
    if not text:
        yield "statement left out", ast.Pass()


def _comprehension(node: ast.comprehension) -> Iterator[Place]:
    if node.ifs:
        yield "filter left out", ast.comprehension(node.target, node.iter, [], node.is_async)


def _call(node: ast.Call) -> Iterator[Place]:
    function = node.func
    if isinstance(function, ast.Attribute):
        if new := EXCHANGED.get(function.attr):
            yield f"{function.attr} -> {new}", ast.Call(ast.Attribute(function.value, new, ast.Load()), node.args, node.keywords)
        if function.attr in DROPPED and not (isinstance(function.value, ast.Name) and function.value.id in MODULES):
            yield f"without .{function.attr}()", function.value
    elif isinstance(function, ast.Name) and (new := EXCHANGED.get(function.id)) in ("min", "max", "any", "all"):
        yield f"{function.id} -> {new}", ast.Call(ast.Name(new, ast.Load()), node.args, node.keywords)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg in ("dim", "axis") and isinstance(keyword.value, ast.Constant) and keyword.value.value in (0, 1):
            turned = [*node.keywords]
            turned[index] = ast.keyword(keyword.arg, ast.Constant(1 - keyword.value.value))
            yield "axis 0 <-> 1", ast.Call(function, node.args, turned)
        elif keyword.arg and keyword.arg != "strict":
            yield f"without {keyword.arg}=", ast.Call(function, node.args, node.keywords[:index] + node.keywords[index + 1 :])


MODULES = {"torch", "np", "math", "F", "tl", "nn", "re", "copy"}
PLACES: dict[type | tuple[type, ...], Callable[..., Iterator[Place]]] = {
    ast.BinOp: _binary,
    ast.AugAssign: _augmented,
    ast.Compare: _compared,
    ast.BoolOp: _both,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    (ast.If, ast.IfExp, ast.While): _conditional,
    (ast.Assign, ast.Expr, ast.AugAssign): _statement,
    ast.comprehension: _comprehension,
    ast.Call: _call,
}
