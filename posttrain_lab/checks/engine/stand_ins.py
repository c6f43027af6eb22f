"""Known mistakes in place of a student's function: while one of them runs, it is not checked how its result is made.

The proof puts a known mistake under the exercise's name and runs the notebook's own check cell. The mistake is plain torch, where a
student would have launched a kernel, or changes what the library returns; `authorship` and `own_work` check nothing while it runs.
Only what `stand_in` returned is trusted so, and the oracle.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

_RUNNING: ContextVar[bool] = ContextVar("a stand-in is running", default=False)
_STAND_INS: "WeakSet[Callable[..., Any]]" = WeakSet()


def stand_in(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, known to `authorship` as one of the checks' own.

    >>> seen = stand_in(lambda: is_running())
    >>> seen(), is_running(), is_stand_in(seen), is_stand_in(is_running)
    (True, False, True, False)
    """

    @functools.wraps(function)
    def standing(*args: Any, **kwargs: Any) -> Any:
        with trusted_work():
            return function(*args, **kwargs)

    _STAND_INS.add(standing)
    return standing


@contextlib.contextmanager
def trusted_work() -> Iterator[None]:
    """While inside, the checks' own code runs: an oracle or a known mistake."""
    token = _RUNNING.set(True)
    try:
        yield
    finally:
        _RUNNING.reset(token)


def is_stand_in(function: Any) -> bool:
    """Was it made by `stand_in`?"""
    return any(function is one for one in _STAND_INS)


def is_running() -> bool:
    """Is a stand-in or an oracle being called, at any depth?"""
    return _RUNNING.get()
