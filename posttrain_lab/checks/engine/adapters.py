"""Adapters (`Exercise.through`) that more than one unit needs: they work with the student's function, on the student's side.

An adapter gets the function and the case's arguments, and returns plain values for the judge. It holds no wanted result, so a
student who replaces it can only change what comes back, as with any answer.
"""

import copy
from collections.abc import Callable
from typing import Any


def in_place(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
    """For a function whose task is to change its arguments: what it returned, and copies of the arguments as it left them.

    >>> in_place(lambda items: items.append(3), [1, 2])
    (None, ([1, 2, 3],))
    """
    twins = copy.deepcopy(args)
    return function(*twins, **kwargs), twins
