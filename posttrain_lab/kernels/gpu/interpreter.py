"""Where the kernels of unit 06 run: on an NVIDIA GPU, or program by program in Triton's interpreter, with every access to memory watched.

In the interpreter a launch runs the programs in a mixed-up order, as a GPU may, refuses reads and writes outside of the tensors,
gives garbage for masked-out loads without `other`, and counts bytes. Left out: a cache, and programs that run at the same time.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

POISON = {torch.float32: float("nan"), torch.int32: 0x55555555, torch.int8: 0x55, torch.uint8: 0x55}
INSTALL = "Triton is missing and runs on Linux only: open this unit in Colab, or run `pip install triton` on Linux (WSL too)."
MARGIN = 256  # elements of poison on both sides of a tensor on a GPU
_COUNTS: list["Traffic"] = []
_FLAG = "TRITON_INTERPRET"


class OutOfBounds(IndexError):
    """A kernel read or wrote where none of its tensors is."""


@dataclass
class Traffic:
    """What launches did to memory: programs run, bytes read and written, lanes of loads and how many of them were masked out.

    shared, twice: numbers stored by more than one program of a launch, or again by the same one; idle: programs that stored nothing.
    given, left: the tensors of all launches, before and after.
    On a GPU nobody watches the programs: there only launches are counted, and what they leave.
    """

    programs: int = 0
    read: int = 0
    written: int = 0
    lanes: int = 0
    masked: int = 0
    launches: int = 0
    shared: int = field(default=0, repr=False)  # these are for the checks; what is printed stays short
    twice: int = field(default=0, repr=False)
    idle: int = field(default=0, repr=False)
    kernels: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list, repr=False)
    given: list[Tensor] = field(default_factory=list, repr=False)
    left: list[Tensor] = field(default_factory=list, repr=False)


def outside(what: str, numbers: int) -> OutOfBounds:
    """The error for `numbers` that were read or written ("read", "wrote") where no tensor is."""
    remedy = "mask the load." if what == "read" else "mask the store."
    return OutOfBounds(f"the kernel {what} {numbers} numbers outside of its tensors; {remedy}")


def start() -> str:
    """Choose the device, "cuda" or "cpu", and make Triton ready for it. Raises ImportError with the remedy when Triton is missing.

    A GPU is used if it multiplies int8 in Triton (compute capability 8.0, Ampere, or later); otherwise the interpreter is switched on.
    """
    if importlib.util.find_spec("triton") is None:
        raise ImportError(INSTALL)
    if torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0):
        return "cuda"
    os.environ[_FLAG] = "1"
    from triton.runtime.interpreter import InterpretedFunction
    from triton.runtime.jit import JITFunction

    # Had something imported Triton before it was told to interpret, its own functions (tl.zeros, tl.max) would be compiled ones.
    _exchange(JITFunction, InterpretedFunction)
    return "cpu"


def _exchange(old: type, new: type) -> None:
    """Triton's own functions of the kind `old` become `new` ones."""
    import triton.language  # noqa: F401  # before the modules are listed

    for module in [module for name, module in sys.modules.items() if name.startswith("triton.language")]:
        for name, value in list(vars(module).items()):
            if isinstance(value, old):
                setattr(module, name, new(value.fn))


@contextlib.contextmanager
def left_as_found() -> Iterator[None]:
    """When the block ends Triton compiles again, unless it interpreted before: for a process that does more than unit 06."""
    flag = os.environ.get(_FLAG)
    try:
        yield
    finally:
        if flag is None and os.environ.pop(_FLAG, None) == "1":
            from triton.runtime.interpreter import InterpretedFunction
            from triton.runtime.jit import JITFunction

            _exchange(InterpretedFunction, JITFunction)


def interpreted() -> bool:
    """Do kernels run in the interpreter?"""
    return os.environ.get(_FLAG) == "1"


def guarded(x: Tensor) -> Tensor:
    """A contiguous copy of x for a kernel: on the kernels' device, and on a GPU with poison on both sides."""
    return _placed(x.shape, x.dtype).copy_(x)


def output(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Memory for a result, full of poison: what the kernel does not write is NaN, or a number that stands out."""
    return _placed(shape, dtype)


def _placed(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    if interpreted():
        return torch.full(tuple(shape), POISON[dtype], dtype=dtype)
    size = int(np.prod(shape))
    wide = torch.full((size + 2 * MARGIN,), POISON[dtype], dtype=dtype, device="cuda")
    return wide[MARGIN : MARGIN + size].view(tuple(shape))


@contextlib.contextmanager
def counting() -> Iterator[Traffic]:
    """Count what all launches inside the block do to memory (zeros on a GPU, where nobody watches)."""
    traffic = Traffic()
    _COUNTS.append(traffic)
    try:
        yield traffic
    finally:
        _COUNTS.pop()


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **meta: Any) -> None:
    """Run kernel[grid](*args, **meta), watched. Raises what the kernel raised, and OutOfBounds for accesses outside of its tensors."""
    for traffic in _COUNTS:
        traffic.launches += 1
        traffic.kernels.append((kernel, args, meta))
        traffic.given += [arg.detach().cpu().clone() for arg in args if isinstance(arg, Tensor)]
    _run(kernel, grid, args, meta)
    for traffic in _COUNTS:
        traffic.left += [arg.detach().cpu().clone() for arg in args if isinstance(arg, Tensor)]


def _run(kernel: Any, grid: tuple[int, ...], args: tuple[Any, ...], meta: dict[str, Any]) -> None:
    if not hasattr(kernel, "rewriter"):
        return _launch_on_gpu(kernel, grid, args, meta)
    from triton.runtime.interpreter import InterpreterError

    names = kernel.fn.__globals__
    with _language_put_back(), _lent_names(names), _watched(args), _mixed_order(grid), np.errstate(all="ignore"):
        try:
            kernel[grid](*args, **meta)
        except InterpreterError as error:
            cause: BaseException = error
            while isinstance(cause, InterpreterError) and cause.__cause__ is not None:
                cause = cause.__cause__
            raise cause from None
    return None


def _launch_on_gpu(kernel: Any, grid: tuple[int, ...], args: tuple[Any, ...], meta: dict[str, Any]) -> None:
    from triton.compiler.errors import CompilationError

    try:
        kernel[grid](*args, **meta)
    except CompilationError:
        if "raise NotImplementedError" in kernel.src:
            raise NotImplementedError from None
        raise
    for wide in (arg._base for arg in args if isinstance(arg, Tensor) and arg._base is not None):
        poison = torch.full_like(wide[:MARGIN], POISON[wide.dtype])
        changed = sum(int((~torch.isclose(part, poison, equal_nan=True)).sum()) for part in (wide[:MARGIN], wide[-MARGIN:]))
        if changed:
            raise outside("wrote", changed)


@contextlib.contextmanager
def _language_put_back() -> Iterator[None]:
    """Triton's language as it was: for a function called by a kernel (tl.sum, tl.zeros) the interpreter replaces operations for good.

    Kernels compiled later in this process would get the interpreter's operations, and fail.
    """
    import triton.language as tl

    parts = [tl, tl.core, tl.math, *(value for value in vars(tl.core).values() if isinstance(value, type))]
    before = [dict(vars(part)) for part in parts]
    try:
        yield
    finally:
        for part, names in zip(parts, before, strict=True):
            for name in [name for name, value in vars(part).items() if names.get(name) is not value]:
                setattr(part, name, names[name]) if name in names else delattr(part, name)


@contextlib.contextmanager
def _lent_names(names: dict[str, Any]) -> Iterator[None]:
    """The interpreter needs its own names among the kernel's globals; take them away again, they are not the notebook's."""
    from triton.runtime import interpreter

    lent = [key for key in vars(interpreter) if key not in names]
    names.update({key: vars(interpreter)[key] for key in lent})
    try:
        yield
    finally:
        for key in lent:
            names.pop(key, None)


@contextlib.contextmanager
def _replaced(**methods: Any) -> Iterator[None]:
    """Other methods on the one object through which interpreted kernels act."""
    from triton.runtime.interpreter import interpreter_builder

    vars(interpreter_builder).update(methods)
    try:
        yield
    finally:
        for name in methods:
            vars(interpreter_builder).pop(name, None)


@contextlib.contextmanager
def _mixed_order(grid: tuple[int, ...]) -> Iterator[None]:
    """The same programs in another order than they are counted."""
    from triton.runtime.interpreter import interpreter_builder

    sizes = (*grid, 1, 1)[:3]
    order = np.random.default_rng(7).permutation(int(np.prod(sizes)))
    order = order[::-1] if np.array_equal(order, np.arange(len(order))) else order
    place = interpreter_builder.set_grid_idx

    def set_grid_idx(x: int, y: int, z: int) -> None:
        number = (x * sizes[1] + y) * sizes[2] + z
        for traffic in _COUNTS:
            traffic.programs += 1
        place(*(int(i) for i in np.unravel_index(order[number], sizes)))

    with _replaced(set_grid_idx=set_grid_idx):
        yield


@contextlib.contextmanager
def _watched(args: tuple[Any, ...]) -> Iterator[None]:
    """Refuse accesses outside of the tensors among the arguments, poison what a mask hides, and count."""
    from triton.runtime.interpreter import TensorHandle, interpreter_builder

    starts = [(t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in args if isinstance(t, Tensor)]
    load, store = interpreter_builder.create_masked_load, interpreter_builder.create_masked_store
    writers: dict[int, int] = {}  # which program stored at an address
    earlier_programs = _COUNTS[-1].programs if _COUNTS else 0

    def check(what: str, places: np.ndarray, mask: np.ndarray) -> int:
        known = np.zeros(places.shape, bool)
        for low, high in starts:
            known |= (places >= low) & (places < high)
        if wrong := int((mask & ~known).sum()):
            raise outside(what, wrong)
        return int(mask.sum())

    def create_masked_load(ptrs: Any, mask: Any, other: Any, *rest: Any) -> Any:
        shown = np.broadcast_to(mask.data, ptrs.data.shape)
        numbers = check("read", ptrs.data, shown)
        found = load(ptrs, mask, other, *rest)
        if other is None and not shown.all():
            data = found.data.copy()
            data[~shown] = np.inf if data.dtype.kind == "f" else 0x55  # a maximum would overlook NaN
            found = TensorHandle(data, found.dtype)
        for traffic in _COUNTS:
            traffic.read += numbers * found.data.dtype.itemsize
            traffic.lanes += shown.size
            traffic.masked += shown.size - numbers
        return found

    def create_masked_store(ptrs: Any, value: Any, mask: Any, *rest: Any) -> Any:
        numbers = check("wrote", ptrs.data, np.broadcast_to(mask.data, ptrs.data.shape))
        places = ptrs.data[np.broadcast_to(mask.data, ptrs.data.shape)].ravel().tolist() if _COUNTS else []
        program = _COUNTS[-1].programs if _COUNTS else 0
        earlier = [writers[place] for place in places if place in writers]
        writers.update(dict.fromkeys(places, program))
        for traffic in _COUNTS:
            traffic.written += numbers * value.data.dtype.itemsize
            traffic.shared += sum(one != program for one in earlier)
            traffic.twice += sum(one == program for one in earlier)
        return store(ptrs, value, mask, *rest)

    with _replaced(create_masked_load=create_masked_load, create_masked_store=create_masked_store):
        yield
    for traffic in _COUNTS:
        traffic.idle += _COUNTS[-1].programs - earlier_programs - len(set(writers.values()))
