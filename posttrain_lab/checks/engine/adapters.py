"""Adapters (`Exercise.through`): functions that a check calls in place of the student's function, in the student's process.

An adapter gets the function and the case's arguments, and returns plain values for the judge. It is needed where several steps, an
optimizer or an object that cannot be sent are involved. It contains no expected result, so a student who replaces it can only change what
is returned, as with any answer. A function is an adapter if it is marked as one (`@adapter`): no other function can be called by name.
"""

import copy
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
_ADAPTERS: set[Callable[..., Any]] = set()
_WATCHERS: set[Callable[..., Any]] = set()


def adapter(function: Function) -> Function:
    """Mark a function `adapted(function, *args)` as one that a check may call by its name."""
    _ADAPTERS.add(function)
    return function


def watcher(function: Function) -> Function:
    """Mark an adapter that only watches how the function makes its result: `watched(function, *args)` is `function(*args)`, or raises."""
    _WATCHERS.add(function)
    return adapter(function)


def is_watcher(through: str) -> bool:
    """Does this name belong to an adapter that only watches?"""
    return bool(through) and find_adapter(through) in _WATCHERS


def find_adapter(through: str) -> Callable[..., Any]:
    """The adapter of this name, "module:function" below `posttrain_lab.checks`. Raises ValueError for any other name.

    >>> find_adapter("engine.adapters:in_place").__name__
    'in_place'
    """
    module, _, name = through.partition(":")
    if name.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        found = getattr(importlib.import_module(f"posttrain_lab.checks.{module}"), name, None)
        if found is not None and found in _ADAPTERS:
            return found
    raise ValueError(
        f"{through!r} names no adapter; it is written module:function, below posttrain_lab.checks, and marked with @adapter."
    )


@adapter
def in_place(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
    """For a function whose task is to change its arguments: its result, and copies of the arguments after the call.

    >>> in_place(lambda items: items.append(3), [1, 2])
    (None, ([1, 2, 3],))
    """
    twins = copy.deepcopy(args)
    return function(*twins, **kwargs), twins
