"""Adapters (`Exercise.through`) for exercises that ask how a result is made: is it the student's own work?

They run in the student's process. `own`: one of the library's functions, scipy or torch's sparse tensors made the result (NotTheTask).
`whole`: it is of whole numbers, and was computed with floats. `by_blocks`: one call multiplied whole matrices, or the blocks do not depend
on `tile` (blocks.py). `in_vectors`: the decorator is missing. Kernels are looked at in launches.py. Stand-ins (known mistakes in place of
a student's function) are not watched. What compiled code does cannot be observed, but its types can.
"""

import dis
import inspect
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import watcher
from posttrain_lab.checks.engine.blocks import complaint, floats_in
from posttrain_lab.checks.engine.looking import NotTheTask, looking
from posttrain_lab.checks.engine.manners import remark
from posttrain_lab.checks.engine.numpy_spy import PRODUCTS, WatchedArray, watching
from posttrain_lab.checks.engine.stand_ins import is_running, is_stand_in

# the packages whose functions solve these exercises, and those of their modules that students may use: decorators and SIMD functions
LIBRARY = {"posttrain_lab.kernels", "posttrain_lab.kernels.cpu", "posttrain_lab.kernels.gpu", "posttrain_lab.quantization"}
SIMD = {"simd", "simd_bytes", "simd_floats", "simd_pairs", "simd_rounding", "simd_scaling"}
OPEN = {f"posttrain_lab.kernels.cpu.{name}" for name in {"notebook", *SIMD}}
TORCH_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "_int_mm", "mv", "dot"}
Function = Callable[..., Any]


@watcher
def own(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The answer, unless a function of the library, of scipy or of torch's sparse tensors made it, in whichever thread (NotTheTask)."""
    if is_stand_in(function) or _kernel(function) is not None:
        return function(*args, **kwargs)

    def look(name: str, operands: tuple[Any, ...]) -> None:
        if any(isinstance(one, Tensor) and one.layout != torch.strided for one in operands) and not is_running():
            raise NotTheTask("torch's sparse product made this; multiply the stored values yourself")

    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(_refuse_the_library)
    sys.setprofile(_refuse_the_library)
    try:
        with looking(look):
            return function(*args, **kwargs)
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])


@watcher
def whole(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The answer to a task of whole numbers; that it was computed with floats is told only of a right result."""
    result = _in_whole_numbers(function, None, args, kwargs)
    if isinstance(result, np.generic):
        remark(f"returns a number of numpy ({type(result).__name__}); return a plain int: int(...) or .item()")
    return result


def _in_whole_numbers(function: Function, sizes: tuple[int, ...] | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The answer; one call of numpy or torch for operands of all these `sizes` is refused (NotTheTask), floats are remarked."""
    if is_stand_in(function):
        return function(*args, **kwargs)
    found: list[str] = []

    def look(name: str, operands: tuple[Any, ...]) -> None:
        tensors = [one for one in operands if isinstance(one, Tensor)]
        if is_running():
            return
        if name in TORCH_PRODUCTS and tuple(one.numel() for one in tensors) == sizes:
            raise NotTheTask(WHOLE.format(who="torch"))
        if any(one.is_floating_point() and one.numel() > 1 for one in tensors):
            found.append(f"torch's {name}")

    kernel = _kernel(function)
    with looking(look), watching(None, _arrays(found, sizes)):
        result = own(function, *args, **kwargs)
    if found or (kernel is not None and floats_in(kernel)):
        remark(FLOATS.format(who=found[0] if found else "an array or a product of them"))
    return result


def _arrays(found: list[str], whole: tuple[int, ...] | None = None) -> type[WatchedArray]:
    """Arrays that note floats among them in `found`, and refuse a product of two arrays of the sizes `whole`."""

    class Whole(WatchedArray):
        def __array_finalize__(self, source: Any) -> None:
            super().__array_finalize__(source)
            if self.dtype.kind in "fc" and self.size > 1:
                found.append("numpy")

        def _note(self, name: str, operands: list[Any], result: Any) -> None:
            if name in PRODUCTS and tuple(np.size(one) for one in operands if isinstance(one, np.ndarray)) == whole:
                raise NotTheTask(WHOLE.format(who="numpy"))
            super()._note(name, operands, result)

    return Whole


FLOATS = "computes with floats ({who}); multiply and add the codes as whole numbers, of int32"


@watcher
def by_blocks(function: Function, a: Tensor, b: Tensor, tile: int) -> Any:
    """The answer to a product of whole numbers block by block, unless one call of torch or numpy multiplied all of a and b (NotTheTask)."""
    if is_stand_in(function) or tile >= min(*a.shape, b.shape[1]):  # one block may be all there is
        return whole(function, a, b, tile)
    result = _in_whole_numbers(function, (a.numel(), b.numel()), (a, b, tile), {})
    if not _reads(function, 2):
        raise NotTheTask(
            "your function never uses `tile`; each block has at most `tile` rows, `tile` columns and an inner size of `tile`"
        )
    if function not in _BLOCKS:
        _BLOCKS[function] = complaint(function, _kernel(function)) or ""
    if _BLOCKS[function]:
        remark(_BLOCKS[function])
    return result


_BLOCKS: "WeakKeyDictionary[Function, str]" = WeakKeyDictionary()
WHOLE = "one call of {who} multiplied the whole matrices; cut them into blocks of `tile` (add_block multiplies one block)"


@watcher
def in_vectors(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The result of the product that a decorator made of the student's step; NotTheTask without the decorator, unless the step is empty."""
    if not is_stand_in(function) and _kernel(function) is None:
        try:
            function(*args, **kwargs)
        except NotImplementedError:
            raise
        except Exception:  # a step alone cannot take the arguments of a product
            pass
        raise NotTheTask("leave the decorator @in_tiles above your function: it makes the whole product of your step")
    return function(*args, **kwargs)


def _kernel(function: Function) -> Any:
    """What Numba made of it, if a decorator of unit 05 did (such code calls no function of Python, and a watched compiler is slow)."""
    notebook = sys.modules.get("posttrain_lab.kernels.cpu.notebook")
    return notebook and notebook.compiled_kernel(function)


def _reads(function: Function, position: int) -> bool:
    """Does its code use this argument at all? (True where it cannot be known, as with *args.)"""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or code.co_argcount <= position:
        return True
    name = code.co_varnames[position]
    used = [step.argval for step in dis.get_instructions(code) if not step.opname.startswith(("STORE", "DELETE"))]
    return any(name == one or (isinstance(one, tuple) and name in one) for one in used)


def _refuse_the_library(frame: FrameType, event: str, argument: Any) -> None:
    if event != "call":  # Python asks at every call and return, of C functions too: most of them must end here
        return
    home = frame.f_globals
    package = home.get("__package__")
    library, name = package in LIBRARY, frame.f_code.co_name
    if name == "<module>" or not (library or str(package).startswith("scipy")) or is_running():
        return
    module = str(home.get("__name__"))
    if library and module not in OPEN:
        raise NotTheTask(f"the library's own {name} made this; write it yourself in the cell above")
    if str(package).split(".")[0] == "scipy" and not module.startswith("scipy._lib"):
        raise NotTheTask(f"scipy's {name} made this; write it yourself in the cell above")
