"""The only way in which a check runs a student's code: call it with copies, and use a clean copy of what it returns.

`LocalSubmission` calls in this process (the notebook). While grading, the tests run in a trusted process and the same calls are sent to the
student's kernel. Nothing that a student's object defines (`==`, hash, repr, a tensor subclass) is ever trusted.
"""

import contextlib
import functools
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from posttrain_lab.checks.engine import stand_ins
from posttrain_lab.checks.engine.adapters import find_adapter, is_watcher
from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.checks.engine.manners import Manners, seeded
from posttrain_lab.checks.engine.numpy_spy import unwatched
from posttrain_lab.checks.engine.outcome import Outcome, describe
from posttrain_lab.checks.engine.own_work import USED, LibraryUsed, closed
from posttrain_lab.checks.engine.plain_values import clean, copied, identical
from posttrain_lab.checks.engine.product_spy import ProductSpy

Context = Callable[[], contextlib.AbstractContextManager[Any]]


class Submission(Protocol):
    """One function of a student, in this process or another."""

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome: ...


@dataclass(frozen=True, eq=False)
class LocalSubmission:
    """The student's function in this process; `attribute` is the part of it to call (`apply` of an autograd function).

    `through` names an adapter that is called in its place, as `adapter(function, *args)`; `library` names the library's own
    functions for the job, which are no answer. A `trusted` function is an oracle or a known mistake: it may be the library's, and
    adapters that only watch how a result is made let it through. `products`: products of floats are noted, for a judge that asks for
    whole numbers. `manners` remembers the result of the call before.
    """

    function: Any
    attribute: str = ""
    trusted: bool = False
    through: str = ""
    library: str = ""
    products: bool = True
    manners: Manners = field(default_factory=Manners)

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome:
        """Call with copies of the arguments; ask for gradients of the sum of weighted outputs by these arguments."""
        kept, args = args, tuple(copied(arg, index in gradients) for index, arg in enumerate(args))
        kwargs = {key: copied(value, False) for key, value in kwargs.items()}
        spy = ProductSpy(args)
        watched = spy.at_work if self.products and _has_codes(args) else contextlib.nullcontext
        self.manners.notes.clear()
        try:
            function = self._target(watched)
            with _quiet(function, args), watched() if self._adapted() else contextlib.nullcontext():
                result = unwatched(function(*args, **kwargs))
            found = _gradients(result, [args[index] for index in gradients])
            value = clean(result)
        except NotImplementedError as error:
            return Outcome(unsolved=not self.trusted and _is_blank(error), error=describe(error))
        except (Exception, SystemExit, LibraryUsed) as error:
            return Outcome(error=describe(error))
        changed = tuple(i for i, (now, before) in enumerate(zip(args, kept, strict=True)) if not identical(now, before))
        return Outcome(value, found, spy.products(result), changed, notes=tuple(self.manners.notes))

    def _adapted(self) -> bool:
        """Is an adapter called in place of the function, one that does more than watch? Then its own products are watched too."""
        return bool(self.through) and not is_watcher(self.through)

    def _target(self, watched: Context) -> Callable[..., Any]:
        function = self.function
        if not self.trusted and is_library(function, self.library):
            raise TypeError("this is the library's own function; write yours in the cell above")
        if self.attribute and hasattr(function, self.attribute):
            function = getattr(function, self.attribute)
        if not callable(function):
            raise TypeError(f"a function is wanted, this is a {type(function).__name__}")
        if self._adapted():
            return functools.partial(find_adapter(self.through), self._observed(function, contextlib.nullcontext))
        if self.through and not self.trusted:
            function = functools.partial(find_adapter(self.through), function)
        return self._observed(function, watched)

    def _observed(self, function: Callable[..., Any], watched: Context) -> Callable[..., Any]:
        """The function, called without the library's help, with an eye on its products (not on those of `manners`) and on its manners."""

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            if self.trusted:
                with stand_ins.trusted_work(), watched():
                    return function(*args, **kwargs)
            with closed(self.library) as used, watched():
                result = function(*args, **kwargs)
            if used:  # and the error was caught
                raise LibraryUsed(USED.format(name=used[0]))
            return result

        return self.manners.around(called)


def is_library(function: Any, library: str) -> bool:
    """Is it one of these very objects, "module:name" below `posttrain_lab`? (A module that is not imported cannot have defined it.)"""
    for one in library.split():
        module, _, name = one.partition(":")
        home = sys.modules.get(f"posttrain_lab.{module}")
        if home is not None and function is getattr(home, name):
            return True
    return False


def _has_codes(args: tuple[Any, ...]) -> bool:
    """Is an argument an integer tensor? Only then are float products a mistake (and the spy slows every call down)."""
    return any(isinstance(arg, Tensor) and not arg.is_floating_point() and arg.dtype != torch.bool for arg in args)


@contextlib.contextmanager
def _quiet(function: Any, args: tuple[Any, ...]) -> Iterator[None]:
    """Seeded, with gradients on, prints and warnings swallowed, and the clock of a `TimedCall` in place of the real one."""
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        stack.enter_context(seeded())
        stack.enter_context(torch.enable_grad())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        for arg in args:
            if isinstance(arg, TimedCall):
                stack.enter_context(arg.installed(function))
        yield


def _gradients(result: Any, sources: list[Tensor]) -> tuple[Tensor | None, ...]:
    if not sources:
        return ()
    if not isinstance(result, Tensor) or not result.requires_grad:
        return tuple(None for _ in sources)
    weights = torch.linspace(2.5, 7.5, result.numel(), dtype=result.dtype)
    weights[1::2] *= -1  # both signs, none near 0
    weights = weights.reshape(result.shape)
    found = torch.autograd.grad(result, sources, weights, allow_unused=True)
    return tuple(None if g is None else clean(g) for g in found)


def _is_blank(error: NotImplementedError) -> bool:
    """Raised bare, as the released cell does; torch raises its own with a message."""
    return not error.args
