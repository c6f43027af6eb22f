"""While a student's function is checked, the library's own function for the job is closed: whoever calls it gets `LibraryUsed`.

The code of the function is exchanged for a short time, so that a lambda, a wrapper, another name or another thread meets the same
sentence. The oracle and the known mistakes may use the library meanwhile (`stand_ins.trusted_work`), also in another thread.
"""

import contextlib
import importlib
import inspect
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from posttrain_lab.checks.engine import stand_ins

USED = "the library's own {name} made this; write it yourself in the cell above"


class LibraryUsed(BaseException):
    """The student's function called the library's. (No Exception: `except Exception` in the student's code does not stop it.)"""


class _Door:
    """One function of the library, closed as long as somebody's answer is being called (`visitors` counts them)."""

    def __init__(self, function: FunctionType, name: str):
        self.function, self.name, self.visitors = function, name, 0
        self.code = function.__code__
        self.original = FunctionType(self.code, function.__globals__, name, function.__defaults__, function.__closure__)
        self.original.__kwdefaults__ = function.__kwdefaults__


_DOORS: dict[str, list[_Door]] = {}
_NUMBERED: list[_Door] = []
_LOCK = threading.Lock()
_USES: ContextVar[list[str] | None] = ContextVar("what the student's function used", default=None)


@contextlib.contextmanager
def closed(library: str) -> Iterator[list[str]]:
    """Close the functions "module:name" (several, separated by spaces) below `posttrain_lab`; gives the names that were called anyway.

    >>> from posttrain_lab.metrics import wilson_interval
    >>> with closed("metrics:wilson_interval") as used:
    ...     wilson_interval(1, 2)
    Traceback (most recent call last):
        ...
    posttrain_lab.checks.engine.own_work.LibraryUsed: the library's own wilson_interval made this; write it yourself in the cell above
    >>> used
    ['wilson_interval']
    """
    doors = [door for name in library.split() for door in _doors(name)]
    uses: list[str] = []
    token = _USES.set(uses)
    _count(doors, 1)
    try:
        yield uses
    finally:
        _count(doors, -1)
        _USES.reset(token)


def _count(doors: list[_Door], step: int) -> None:
    """One visitor more or less: the first closes a door, the last one opens it again."""
    with _LOCK:
        for door in doors:
            door.visitors += step
            door.function.__code__ = _closed_code(door) if door.visitors else door.code


def entered(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What runs in place of a closed function: the original for trusted work, else LibraryUsed."""
    door = _NUMBERED[number]
    if stand_ins.is_running():
        return door.original(*args, **kwargs)
    uses = _USES.get()
    if uses is not None:  # None in a thread that the student's function started
        uses.append(door.name)
    raise LibraryUsed(USED.format(name=door.name))


def _template(*args: Any, **kwargs: Any) -> Any:
    from posttrain_lab.checks.engine import own_work

    return own_work.entered(-987_654, args, kwargs)  # the number is exchanged for the door's


@cache
def _closed_code(door: _Door) -> CodeType:
    """The template's code with this door's number. Python asks for as many free variables as the old code had (`super()` is one)."""
    code = _template.__code__
    constants = tuple(_NUMBERED.index(door) if constant == -987_654 else constant for constant in code.co_consts)
    return code.replace(co_consts=constants, co_freevars=door.code.co_freevars, co_name=door.name)


def _doors(library: str) -> list[_Door]:
    """The doors of "module:name": one for a function, one for each method of a class."""
    with _LOCK:
        if library not in _DOORS:
            module, _, name = library.partition(":")
            found = getattr(importlib.import_module(f"posttrain_lab.{module}"), name)
            _DOORS[library] = [_Door(function, name) for function in _functions(found)]
            _NUMBERED.extend(_DOORS[library])
        return _DOORS[library]


def _functions(found: Any) -> list[FunctionType]:
    values = [getattr(value, "__func__", value) for value in vars(found).values()] if inspect.isclass(found) else [found]
    return [plain for value in values if isinstance(plain := inspect.unwrap(value), FunctionType)]
