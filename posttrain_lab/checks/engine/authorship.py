"""Adapters (`Exercise.through`) for exercises that ask how a result is made: is it the student's own work?

They run in the student's process and raise an error with a message for the student: `own` when one of the library's
functions made the result; `by_blocks` when one call of torch or numpy multiplied whole matrices, or `tile` is never used; `in_vectors`
when the decorator is missing; `launched` when no kernel is launched, or torch computes what the kernel should. Stand-ins (known mistakes
in place of a student's function) are not watched. What compiled code does cannot be observed.
"""

import contextlib
import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab.checks.engine.adapters import watcher
from posttrain_lab.checks.engine.numpy_spy import PRODUCTS, WatchedArray, watching
from posttrain_lab.checks.engine.stand_ins import is_running, is_stand_in

# the packages whose functions solve these exercises, and those of their modules that students may use: decorators and SIMD functions
LIBRARY = {"posttrain_lab.kernels", "posttrain_lab.kernels.cpu", "posttrain_lab.kernels.gpu", "posttrain_lab.quantization"}
SIMD = {"simd", "simd_bytes", "simd_floats", "simd_pairs", "simd_rounding", "simd_scaling"}
OPEN = {f"posttrain_lab.kernels.cpu.{name}" for name in {"notebook", *SIMD}}
TORCH_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "_int_mm", "mv", "dot"}
Function = Callable[..., Any]


class NotTheTask(Exception):
    """The result may be right, but it was not made as the exercise asks. (Not a TypeError: operators swallow those.)"""


@watcher
def own(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The answer, unless one of the library's functions made it (NotTheTask)."""
    if is_stand_in(function) or _compiled(function):
        return function(*args, **kwargs)
    before = sys.getprofile()
    sys.setprofile(_refuse_the_library)
    try:
        return function(*args, **kwargs)
    finally:
        sys.setprofile(before)


@watcher
def by_blocks(function: Function, a: Tensor, b: Tensor, tile: int) -> Any:
    """The answer to a product block by block, unless one call of torch or numpy multiplied all of a and b (NotTheTask)."""
    if is_stand_in(function) or tile >= min(*a.shape, b.shape[1]):  # one block may be all there is
        return own(function, a, b, tile)
    whole = (a.numel(), b.numel())

    class Blocks(WatchedArray):
        def _note(self, name: str, operands: list[Any], result: Any) -> None:
            if name in PRODUCTS and tuple(np.size(one) for one in operands if isinstance(one, np.ndarray)) == whole:
                raise NotTheTask(WHOLE.format(who="numpy"))
            super()._note(name, operands, result)

    def look(name: str, operands: tuple[Any, ...]) -> None:
        sizes = tuple(one.numel() for one in operands if isinstance(one, Tensor))
        if name in TORCH_PRODUCTS and sizes == whole and not is_running():
            raise NotTheTask(WHOLE.format(who="torch"))

    with looking(look), watching(None, Blocks):
        result = own(function, a, b, tile)
    if not _reads(function, 2):
        raise NotTheTask(
            "your function never uses `tile`; each block has at most `tile` rows, `tile` columns and an inner size of `tile`"
        )
    return result


WHOLE = "one call of {who} multiplied the whole matrices; cut them into blocks of `tile` (add_block multiplies one block)"


@watcher
def in_vectors(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The result of the product that a decorator made of the student's step; NotTheTask without the decorator, unless the step is empty."""
    if not is_stand_in(function) and not _compiled(function):
        try:
            function(*args, **kwargs)
        except NotImplementedError:
            raise
        except Exception:  # a step alone cannot take the arguments of a product
            pass
        raise NotTheTask("leave the decorator @in_tiles above your function: it makes the whole product of your step")
    return function(*args, **kwargs)


def _compiled(function: Function) -> bool:
    """Did a decorator of unit 05 make it? Compiled code calls no function of Python (and a watched compiler is ten times slower)."""
    notebook = sys.modules.get("posttrain_lab.kernels.cpu.notebook")
    return notebook is not None and notebook.is_compiled(function)


def _reads(function: Function, position: int) -> bool:
    """Does its code use this argument at all? (True where it cannot be known, as with *args.)"""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or code.co_argcount <= position:
        return True
    name = code.co_varnames[position]
    used = [step.argval for step in dis.get_instructions(code) if not step.opname.startswith(("STORE", "DELETE"))]
    return any(name == one or (isinstance(one, tuple) and name in one) for one in used)


def _refuse_the_library(frame: FrameType, event: str, argument: Any) -> None:
    home, name = frame.f_globals, frame.f_code.co_name
    closed = home.get("__package__") in LIBRARY and home.get("__name__") not in OPEN
    if event == "call" and closed and name != "<module>" and not is_running():
        raise NotTheTask(f"the library's own {name} made this; write it yourself in the cell above")


def inside(module: Mapping[str, Any]) -> bool:
    """Is a function of the module with these globals being called?"""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals is not module:
        frame = frame.f_back
    return frame is not None


class _Looker(TorchDispatchMode):
    """Shows each op of torch, its name and operands, before it runs."""

    look: Callable[[str, tuple[Any, ...]], None]


def _look_and_run(self: _Looker, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    name = func.name().split("::")[-1].split(".")[0]
    self.look(name if name.endswith("__") else name.removesuffix("_"), args)  # add_ is add in place
    return func(*args, **(kwargs or {}))


# Set from outside, as in submission.py: torch wraps a method defined inside the class, and that imports its compiler.
_Looker.__torch_dispatch__ = _look_and_run  # type: ignore[method-assign]


@contextlib.contextmanager
def looking(look: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    looker = _Looker()
    looker.look = look
    with looker:
        yield
