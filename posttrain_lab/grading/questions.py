"""Calls as the texts in which they are sent. Every submission of a class is asked the same cases, so an examiner writes them once."""

import base64
import contextlib
from collections.abc import Sequence
from typing import Any

from posttrain_lab.checks.engine import serialize
from posttrain_lab.checks.engine.task import Case

Key = tuple[tuple[int, ...], tuple[tuple[str, int], ...], tuple[int, ...]]
_WRITTEN: dict[Key, tuple[Case, str]] = {}  # by which objects they are; the case is kept, so no other object can take their place
_TOGETHER: dict[Key, dict[Key, str]] = {}  # all questions of a seed, by its first


def question(args: tuple[Any, ...], kwargs: dict[str, Any], gradients: tuple[int, ...]) -> str:
    """A call as base64 of its bytes. Raises WireError for an argument that cannot be sent.

    >>> serialize.decode(base64.b64decode(question((1, 2.5), {"bits": 4}, ())))
    [(1, 2.5), {'bits': 4}, ()]
    """
    known = _WRITTEN.get(key_of(args, kwargs, gradients))
    return known[1] if known else _written(args, kwargs, gradients)


def write_before(cases: Sequence[Case]) -> None:
    """Write the questions of a seed now. Arguments must not be changed from now on (submissions get copies).

    Where one cannot be sent none is written: the sentence about it comes when it is asked.
    """
    with contextlib.suppress(serialize.WireError):
        texts = {_key(case): _written(case.args, case.kwargs, case.gradients) for case in cases}
        _WRITTEN.update({_key(case): (case, texts[_key(case)]) for case in cases})
        _TOGETHER.update({_key(case): texts for case in cases[:1]})


def asked_with(first: Key) -> dict[Key, str]:
    """The questions of the seed that begins with this one, itself included, in their order; none where no seed begins with it."""
    return _TOGETHER.get(first, {})


def key_of(args: tuple[Any, ...], kwargs: dict[str, Any], gradients: tuple[int, ...]) -> Key:
    """What a call is known by: which objects its arguments are."""
    return tuple(map(id, args)), tuple((name, id(value)) for name, value in kwargs.items()), gradients


def _key(case: Case) -> Key:
    return key_of(case.args, case.kwargs, case.gradients)


def _written(args: tuple[Any, ...], kwargs: dict[str, Any], gradients: tuple[int, ...]) -> str:
    return base64.b64encode(serialize.encode([args, kwargs, gradients])).decode("ascii")
