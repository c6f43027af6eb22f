"""Detects float products in numpy: while it is active, tensors are converted to arrays that report their products.

It is used where a check requires integer arithmetic; everywhere else tensors are converted to plain arrays.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from torch import Tensor

PRODUCTS = {"matmul", "vecdot", "matvec", "vecmat", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "convolve", "kron"}
Report = Callable[[str, int], None]


class WatchedArray(np.ndarray):
    """An array whose float products are reported, `report(name, number of elementwise products)`; its results are watched too."""

    report: Report | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.report = getattr(source, "report", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        plain = [_plain(value) for value in inputs]
        into = {} if out is None else {"out": tuple(_plain(value) for value in out)}
        result = getattr(ufunc, method)(*plain, **into, **kwargs)
        self._note(ufunc.__name__, plain, result)
        return out[0] if out else self._watched(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        plain = [_plain(value) for value in args]
        result = function(*plain, **{name: _plain(value) for name, value in kwargs.items()})
        self._note(function.__name__, plain, result)
        return self._watched(result)

    def dot(self, other: Any, out: Any = None) -> Any:
        """The method, for which numpy calls neither __array_ufunc__ nor __array_function__."""
        return np.dot(self, other) if out is None else np.dot(self, other, out=out)

    def _note(self, name: str, operands: list[Any], result: Any) -> None:
        parts = [part for value in operands for part in (value if isinstance(value, list | tuple) else [value])]
        if self.report is None or not any(isinstance(part, np.ndarray) and part.dtype.kind in "fc" for part in parts):
            return
        if name in PRODUCTS:
            self.report(name, 0)
        elif name == "multiply":
            self.report("", int(np.size(result)))

    def _watched(self, result: Any) -> Any:
        if type(result) is not np.ndarray:
            return result
        twin = result.view(type(self))
        twin.report = self.report
        return twin


def _plain(value: Any) -> Any:
    if isinstance(value, WatchedArray):
        return value.view(np.ndarray)
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value


def unwatched(value: Any) -> Any:
    """A result as a plain array."""
    return _plain(value)


@contextlib.contextmanager
def watching(report: Report | None, kind: type[WatchedArray] = WatchedArray) -> Iterator[None]:
    """While inside, `Tensor.numpy()`, `np.asarray(tensor)` and `np.array(tensor)` give watched arrays of this kind.

    Without a `report` the arrays report to the enclosing block.
    """

    def watched(convert: Callable[..., Any]) -> Callable[..., Any]:
        def converted(value: Any, *args: Any, **kwargs: Any) -> Any:
            result = convert(value, *args, **kwargs)
            if not isinstance(value, Tensor):
                return result
            array = result.view(kind)
            array.report = report or array.report
            return array

        return converted

    with contextlib.ExitStack() as stack:
        for owner, name in ((Tensor, "numpy"), (np, "asarray"), (np, "array")):
            stack.enter_context(mock.patch.object(owner, name, watched(getattr(owner, name))))
        yield
