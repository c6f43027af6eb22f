"""Saboteurs that are right but in a region: sizes above those of toy cases, dtypes, signs, magnitudes, ties, layouts."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.proof.saboteurs import Answer, Seen, named
from posttrain_lab.proof.values import columns, corrupted, data, elements, floats, rows

Region = Callable[[list[Any], dict[str, Any]], bool]


def _inside(region: Region) -> Callable[[Answer, Seen], Answer]:
    def wrap(answer: Answer, seen: Seen) -> Answer:
        def sabotaged(*args: Any, **kwargs: Any) -> Any:
            hit = region([*args, *kwargs.values()], kwargs)
            value = answer(*args, **kwargs)
            seen.acted += hit and not _empty(value)
            return corrupted(value, args) if hit else value

        return sabotaged

    return wrap


def _empty(value: Any) -> bool:
    """Has the result no number that could be wrong?"""
    return isinstance(value, Tensor) and not value.numel()


def _any(tensors: list[Tensor], test: Callable[[Tensor], Any]) -> bool:
    return any(bool(test(tensor)) for tensor in tensors if tensor.numel())


def _fractions(args: list[Any]) -> bool:
    tensor = _any(floats(args), lambda t: (t[t.isfinite()] != t[t.isfinite()].round()).any())
    return tensor or any(a != round(a) for a in args if type(a) is float and abs(a) < float("inf"))


def _crowded(t: Tensor) -> bool:
    """Two different values are closer than 1e-5 of the largest magnitude."""
    finite = t[t.isfinite()].double()
    gaps = finite.sort().values.diff()
    return bool(len(gaps) and ((gaps > 0) & (gaps < 1e-5 * finite.abs().max())).any())


REGIONS = named(
    "region",
    {
        f"wrong where {name}": _inside(region)
        for name, region in {
            "rows > 64": lambda a, k: rows(a) > 64,
            "rows > 256": lambda a, k: rows(a) > 256,
            "rows > 1000": lambda a, k: rows(a) > 1000,
            "columns > 16": lambda a, k: columns(a) > 16,
            "columns > 64": lambda a, k: columns(a) > 64,
            "elements > 10,000": lambda a, k: elements(a) > 10_000,
            "elements > 40,000": lambda a, k: elements(a) > 40_000,
            "one row": lambda a, k: rows(a) == 1,
            "one column": lambda a, k: any(t.ndim > 1 and t.shape[-1] == 1 for t in data(a)),
            "empty": lambda a, k: any(t.numel() == 0 for t in data(a)),
            "float64": lambda a, k: any(t.dtype == torch.float64 for t in floats(a)),
            "16-bit floats": lambda a, k: any(t.dtype in (torch.float16, torch.bfloat16) for t in floats(a)),
            "int32": lambda a, k: any(t.dtype == torch.int32 for t in data(a)),
            "not contiguous": lambda a, k: any(not t.is_contiguous() for t in data(a)),
            "fractions": lambda a, k: _fractions(a),
            "magnitude > 1000": lambda a, k: _any(floats(a), lambda t: t.abs().max() > 1000),
            "0 < magnitude < 1e-6": lambda a, k: _any(floats(a), lambda t: ((t != 0) & (t.abs() < 1e-6)).any()),
            "zeros": lambda a, k: _any(floats(a), lambda t: (t == 0).any()),
            "negative": lambda a, k: _any(data(a), lambda t: (t < 0).any() if t.dtype != torch.bool else False),
            "ties": lambda a, k: _any(floats(a), lambda t: t.unique().numel() < t.numel()),
            "infinities": lambda a, k: _any(floats(a), lambda t: t.isinf().any()),
            "crowded values": lambda a, k: _any(floats(a), _crowded),
            "keywords": lambda a, k: bool(k),
            "requires_grad": lambda a, k: any(t.requires_grad for t in data(a)),
        }.items()
    },
)
