"""The only way by which a check reaches a student's code: call it with copies, and look at a cleaned copy of what comes back.

`LocalSubmission` calls in this process (the notebook). While grading, the tests run in a trusted process and the same calls travel to the
student's kernel. Nothing that a student's object defines (`==`, hash, repr, a tensor subclass) is ever trusted.
"""

import contextlib
import copy
import functools
import importlib
import io
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.checks.engine.numpy_spy import unwatched, watching

MULTIPLIED_OFTEN = (
    8  # float multiplications for each number returned: scales need a few, a product of matrices one for every input
)
FLOAT_PRODUCTS = {"mul", "mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot", "linear", "convolution", "_convolution"}


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a cleaned value, gradients, and what was noticed on the way."""

    value: Any = None
    gradients: tuple[Tensor | None, ...] = ()
    float_products: tuple[str, ...] = ()
    changed: tuple[int, ...] = ()
    error: str = ""
    unsolved: bool = False


class Submission(Protocol):
    """One function of a student's, wherever it runs."""

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome: ...


class _ProductSpy(TorchDispatchMode):
    """Notes every matrix product or convolution of floating tensors, and counts their elementwise multiplications."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.multiplied = 0

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Watch torch, and numpy arrays that tensors turn into."""
        with self, watching(self._note_array):
            yield

    def _note_array(self, name: str, numbers: int) -> None:
        self.multiplied += numbers
        self.seen.extend([f"numpy {name}"] if name else [])

    def products(self, result: Any) -> tuple[str, ...]:
        """What was noted; "mul" when the products were made one by one."""
        often = MULTIPLIED_OFTEN * (max(1, result.numel()) if type(result) is Tensor else 1)
        return (*self.seen, "mul") if self.multiplied > often else tuple(self.seen)


def _note_product(self: _ProductSpy, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    name = func.name().split("::")[-1].split(".")[0]
    result = func(*args, **(kwargs or {}))
    if name.rstrip("_") in ("mul", "addcmul"):
        self.multiplied += result.numel() if isinstance(result, Tensor) and result.is_floating_point() else 0
    elif name in FLOAT_PRODUCTS and any(isinstance(a, Tensor) and a.is_floating_point() for a in args):
        self.seen.append(name)
    return result


# Set from outside: torch wraps a method defined inside the class, and that imports its compiler (900 modules, seconds).
_ProductSpy.__torch_dispatch__ = _note_product  # type: ignore[method-assign]


@dataclass(frozen=True, eq=False)
class LocalSubmission:
    """The student's function in this process; `attribute` is the part of it to call (`apply` of an autograd function).

    `through` names an adapter, "module:function" below `posttrain_lab.checks`, that is called in its place, as
    `adapter(function, *args)`: it works with the function where several steps, an optimizer or an object that cannot travel are
    needed, and returns plain values.
    """

    function: Any
    attribute: str = ""
    trusted: bool = False
    through: str = ""

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome:
        """Call with copies of the arguments; ask for gradients of the sum of weighted outputs by these arguments."""
        kept, args = args, tuple(_copied(arg, index in gradients) for index, arg in enumerate(args))
        kwargs = {key: _copied(value, False) for key, value in kwargs.items()}
        spy = _ProductSpy()
        try:
            function = self._target()
            with _quiet(function, args), spy.at_work() if _has_codes(args) else contextlib.nullcontext():
                result = unwatched(function(*args, **kwargs))
            found = _gradients(result, [args[index] for index in gradients])
            value = clean(result)
        except NotImplementedError as error:
            return Outcome(unsolved=not self.trusted and _is_blank(error), error=describe(error))
        except (Exception, SystemExit) as error:
            return Outcome(error=describe(error))
        changed = tuple(i for i, (now, before) in enumerate(zip(args, kept, strict=True)) if not _identical(now, before))
        return Outcome(value, found, spy.products(result), changed)

    def _target(self) -> Callable[..., Any]:
        function = self.function
        if not self.trusted and is_library(function):
            raise TypeError("this is the library's own function; write yours in the cell above")
        if self.attribute and hasattr(function, self.attribute):
            function = getattr(function, self.attribute)
        if not callable(function):
            raise TypeError(f"a function is wanted, this is a {type(function).__name__}")
        return functools.partial(adapter(self.through), function) if self.through else function


def adapter(through: str) -> Callable[..., Any]:
    """The checks' own function of this name. Raises ValueError for a name that is not "module:function".

    >>> adapter("engine.random_cases:strided").__name__
    'strided'
    """
    module, _, name = through.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"an adapter is named module:function, below posttrain_lab.checks; got {through!r}.")
    return getattr(importlib.import_module(f"posttrain_lab.checks.{module}"), name)


def _has_codes(args: tuple[Any, ...]) -> bool:
    """Only where whole numbers come in does it matter whether floats are multiplied (and the spy slows all else down)."""
    return any(isinstance(arg, Tensor) and not arg.is_floating_point() and arg.dtype != torch.bool for arg in args)


def is_library(function: Any) -> bool:
    """Is it a function of posttrain_lab itself (not one of the checks' own)?"""
    module = getattr(function, "__module__", "") or ""
    return isinstance(module, str) and module.startswith("posttrain_lab.") and not module.startswith("posttrain_lab.checks")


def _copied(value: Any, needs_gradient: bool) -> Any:
    if isinstance(value, Tensor):
        twin = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype) if _overlap_free(value) else value.clone()
        twin.copy_(value.detach())
        return twin.requires_grad_(needs_gradient)
    return copy.deepcopy(value)


def _overlap_free(value: Tensor) -> bool:
    return all(stride > 0 for stride, size in zip(value.stride(), value.shape, strict=True) if size > 1)


@contextlib.contextmanager
def _quiet(function: Any, args: tuple[Any, ...]) -> Iterator[None]:
    """Seeded, with gradients on, prints and warnings swallowed, and the clock of a `TimedCall` in place of the real one."""
    with contextlib.ExitStack() as stack:
        stack.callback(torch.default_generator.set_state, torch.default_generator.get_state())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        stack.enter_context(torch.enable_grad())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        for arg in args:
            if isinstance(arg, TimedCall):
                stack.enter_context(arg.installed(function))
        torch.default_generator.manual_seed(0)  # torch.manual_seed formats three stack traces for devices not yet in use
        yield


def _gradients(result: Any, sources: list[Tensor]) -> tuple[Tensor | None, ...]:
    if not sources:
        return ()
    if not isinstance(result, Tensor) or not result.requires_grad:
        return tuple(None for _ in sources)
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).reshape(result.shape)
    found = torch.autograd.grad(result, sources, weights, allow_unused=True)
    return tuple(None if g is None else clean(g) for g in found)


def _is_blank(error: NotImplementedError) -> bool:
    """Raised bare, as the released cell does; torch raises its own with a message."""
    return not error.args


def describe(error: BaseException) -> str:
    """One sentence: what was raised, and in which line of the student's cell."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "posttrain_lab" not in f.filename and "site-packages" not in f.filename and f.name != "call"]
    where = f" in line {own[-1].lineno} of your cell ({own[-1].line})" if own and own[-1].line else ""
    return f"your function raised {type(error).__name__}{where}: {_words(error)}"


def _words(error: BaseException) -> str:
    """Its text, whatever the student's exception class makes of str()."""
    try:
        return str.__getitem__(str(error), slice(300))
    except Exception:
        return ""


def clean(value: Any) -> Any:
    """A copy made only of plain tensors, numbers, strings, containers and torch.nn layers; TypeError for anything else.

    Layers are built anew, so that nothing that was hung on an instance (a hook, another `forward` or `state_dict`) comes along.
    """
    kind = type(value)
    if kind is Tensor or kind is nn.Parameter or kind is nn.Buffer:
        return _plain_tensor(value)
    if value is None or kind in (bool, int, float, str, torch.dtype):
        return value
    if kind is list:
        return [clean(item) for item in value]
    if kind in (tuple, torch.Size):
        return tuple(clean(item) for item in value)
    if kind is dict:
        return {str(key): clean(item) for key, item in value.items()}
    if kind.__module__ == "numpy" and hasattr(kind, "item") and getattr(value, "ndim", 1) == 0:
        return clean(value.item())
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return tuple(clean(item) for item in tuple.__iter__(value))
    if isinstance(value, nn.Module) and kind.__module__.startswith("torch.nn."):
        from posttrain_lab.checks.engine.serialize import rebuilt

        return rebuilt(value)
    advice = "; torch.from_numpy makes a tensor of it" if kind.__name__ == "ndarray" else ""
    raise TypeError(
        f"a plain tensor, number or torch.nn layer is wanted, a {kind.__module__}.{kind.__name__} was returned{advice}"
    )


def _plain_tensor(value: Tensor) -> Tensor:
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        raise TypeError("a dense tensor with numbers in it is wanted, a sparse, nested, quantized or meta tensor was returned")
    return torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())


def _identical(now: Any, before: Any) -> bool:
    """Bit for bit, for tensors, modules and containers of them."""
    if isinstance(before, Tensor):
        return isinstance(now, Tensor) and now.shape == before.shape and _equal_bits(now.detach(), before.detach())
    if isinstance(before, nn.Module):
        first, second = now.state_dict(), before.state_dict()
        return (
            first.keys() == second.keys()
            and all(_identical(first[k], second[k]) for k in first)
            and now.training == before.training
        )
    if isinstance(before, list | tuple):
        return len(now) == len(before) and all(_identical(a, b) for a, b in zip(now, before, strict=True))
    if isinstance(before, dict):
        return now.keys() == before.keys() and all(_identical(now[k], before[k]) for k in before)
    return True


def _equal_bits(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first.nan_to_num(0.125), second.nan_to_num(0.125))
