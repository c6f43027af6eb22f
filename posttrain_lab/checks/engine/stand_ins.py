"""Known mistakes in place of a student's function: while one of them runs, it is not checked how its result is made.

The proof puts a known mistake under the exercise's name and runs the notebook's own check cell. The mistake is plain torch, where a
student would have launched a kernel; `authorship` checks nothing while it runs. Only what `stand_in` returned is trusted so.
"""

import functools
from collections.abc import Callable
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
        token = _RUNNING.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _RUNNING.reset(token)

    _STAND_INS.add(standing)
    return standing


def is_stand_in(function: Any) -> bool:
    """Was it made by `stand_in`?"""
    return any(function is one for one in _STAND_INS)


def is_running() -> bool:
    """Is a stand-in being called, at any depth?"""
    return _RUNNING.get()
