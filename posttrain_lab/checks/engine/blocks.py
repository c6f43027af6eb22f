"""Does a function really work block by block? Its Python code is run twice on small matrices, with two block sizes, and its steps are compared.

What is compared are the places that it reads (of arrays, or by torch's ops), in their order; where nothing is read in a way that can be
seen, the lines that run. Loops compiled by Numba are run as Python here. Whatever this cannot run counts as blocks.
"""

import sys
from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.looking import looking
from posttrain_lab.checks.engine.numpy_spy import WatchedArray, watching

# shapes (m, k, n) and two block sizes for each: small blocks, and blocks as large as the notebook's along each direction
TRIALS = (((5, 7, 6), 2, 3), ((170, 2, 2), 64, 80), ((2, 170, 2), 64, 80), ((2, 2, 170), 64, 80))
Step = tuple[Any, ...]


def complaint(function: Callable[..., Any], kernel: Any) -> str | None:
    """What is wrong with the blocks of `function`; `kernel` is what Numba made of it, None for plain Python."""
    differing = []
    for (m, k, n), *tiles in TRIALS:
        a, b = torch.ones(m, k, dtype=torch.int8), torch.ones(k, n, dtype=torch.int8)
        try:
            steps = [_steps(function, kernel, a, b, tile) for tile in tiles]
        except Exception:  # it cannot run as Python, or not with these sizes: the cases have judged its result
            return None
        for tile, found in zip(tiles, steps, strict=True):
            blocks = [(step[1], step[2]) for step in found if step[0] == "add_block"]
            if any(end - start > tile for first, last in blocks for start, end in zip(first, last, strict=True)):
                return "calls add_block with blocks larger than `tile`; a block has at most `tile` rows, `tile` columns and inner indices"
            if any(end < min(start + tile, size) for block in blocks for start, end, size in zip(*block, (m, n, k), strict=True)):
                return "calls add_block with blocks smaller than `tile`; only those at the edges are smaller"
        differing.append(steps[0] != steps[1])
    if not differing[0]:
        return "does the same steps for each `tile`: no block depends on it; cut rows, columns and the inner size into blocks of `tile`"
    if not any(differing[1:]):
        return "does the same steps for a `tile` of 64 and of 80; use `tile` as it is given, without a largest or smallest size"
    return None


def _steps(function: Callable[..., Any], kernel: Any, a: Tensor, b: Tensor, tile: int) -> list[Step]:
    steps: list[Step] = []
    lines: list[Step] = []

    class TiledArray(WatchedArray):
        def __getitem__(self, where: Any) -> Any:
            steps.append(("read", self.shape, repr(where)))
            return super().__getitem__(where)

    def look(name: str, operands: tuple[Any, ...]) -> None:
        steps.append((name, *(_place(one) if isinstance(one, Tensor) else repr(one) for one in operands)))

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        lines.append((frame.f_code.co_name, frame.f_lineno))
        return trace

    def add_block(out: Any, a: Any, b: Any, first: Any, end: Any) -> None:
        steps.append(("add_block", tuple(first), tuple(end)))

    before = sys.gettrace()
    with watching(None, TiledArray):
        arguments = (a, b) if kernel is None else (a.numpy().view(TiledArray), b.numpy().view(TiledArray))
        run = function if kernel is None else _in_python(kernel, {"add_block": add_block})
        with looking(look):
            sys.settrace(trace)
            try:
                run(*arguments, tile)
            finally:
                sys.settrace(before)
    return steps or lines


def _place(tensor: Tensor) -> Step:
    return (tuple(tensor.shape), tensor.stride(), tensor.storage_offset()) if tensor.layout == torch.strided else (tensor.layout,)


def _in_python(kernel: Any, others: dict[str, Callable[..., Any]], seen: dict[int, Any] | None = None) -> Callable[..., Any]:
    """The Python function of a Numba function, whose own Numba functions are Python functions too."""
    seen = {} if seen is None else seen
    if id(kernel) not in seen:
        old = kernel.py_func
        names: dict[str, Any] = dict(old.__globals__)
        seen[id(kernel)] = FunctionType(old.__code__, names, old.__name__, old.__defaults__, old.__closure__)
        for name in old.__code__.co_names:
            if name in others and hasattr(names.get(name), "py_func"):
                names[name] = others[name]
            elif hasattr(names.get(name), "py_func"):
                names[name] = _in_python(names[name], others, seen)
    return seen[id(kernel)]


def floats_in(kernel: Any) -> bool:
    """Has a function compiled by Numba an array of floats, or a product of two floats?"""
    from numba import types

    for compiled in kernel.overloads.values():
        found = compiled.type_annotation
        kinds = [kind.dtype for kind in found.typemap.values() if isinstance(kind, types.Array)]
        for step, signature in found.calltypes.items():
            if signature is not None and getattr(getattr(step, "_kws", {}).get("fn"), "__name__", "") in (
                "mul",
                "imul",
                "matmul",
            ):
                kinds += [signature.return_type] if all(isinstance(one, types.Float) for one in signature.args) else []
        if any(isinstance(kind, types.Float) for kind in kinds):
            return True
    return False
