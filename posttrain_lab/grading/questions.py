"""Calls as the texts in which they are sent. Every submission of a class is asked the same cases, so an examiner writes them once."""

import base64
import contextlib
from typing import Any

from posttrain_lab.checks.engine import serialize
from posttrain_lab.checks.engine.task import Case

Key = tuple[tuple[int, ...], tuple[tuple[str, int], ...], tuple[int, ...]]
_WRITTEN: dict[Key, tuple[Case, str]] = {}  # by which objects they are; the case is kept, so no other object can take their place


def question(args: tuple[Any, ...], kwargs: dict[str, Any], gradients: tuple[int, ...]) -> str:
    """A call as base64 of its bytes. Raises WireError for an argument that cannot be sent.

    >>> serialize.decode(base64.b64decode(question((1, 2.5), {"bits": 4}, ())))
    [(1, 2.5), {'bits': 4}, ()]
    """
    known = _WRITTEN.get(_key(args, kwargs, gradients))
    return known[1] if known else _written(args, kwargs, gradients)


def write_before(case: Case) -> None:
    """Write a case's question now. Its arguments must not be changed from now on (submissions get copies).

    One that cannot be sent is not written: the sentence about it comes when it is asked.
    """
    with contextlib.suppress(serialize.WireError):
        _WRITTEN[_key(case.args, case.kwargs, case.gradients)] = (case, _written(case.args, case.kwargs, case.gradients))


def _key(args: tuple[Any, ...], kwargs: dict[str, Any], gradients: tuple[int, ...]) -> Key:
    return tuple(map(id, args)), tuple((name, id(value)) for name, value in kwargs.items()), gradients


def _written(args: tuple[Any, ...], kwargs: dict[str, Any], gradients: tuple[int, ...]) -> str:
    return base64.b64encode(serialize.encode([args, kwargs, gradients])).decode("ascii")
