"""Saboteurs whose numbers are right but not the form of their result: dtype, rounding, layout, gradient, memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.proof.saboteurs import Answer, Seen, named
from posttrain_lab.proof.values import data, mapped


def _out(change: Callable[[Any], Any]) -> Callable[[Answer, Seen], Answer]:
    def wrap(answer: Answer, seen: Seen) -> Answer:
        def one(value: Any) -> Any:
            new = change(value)
            seen.acted += new is not value
            return new

        return lambda *args, **kwargs: mapped(answer(*args, **kwargs), one)

    return wrap


def _tensor(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, Tensor) else value


def _number(change: Callable[[float], Any]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, float) else value


def _from(dtypes: tuple[torch.dtype, ...], to: torch.dtype) -> Callable[[Any], Any]:
    return _tensor(lambda t: t.to(to) if t.dtype in dtypes else t)


def _rounded(decimals: int) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.round(decimals=decimals) if value.is_floating_point() else value
        return round(value, decimals)

    return change


def _three_digits(value: Any) -> Any:
    """Significant digits, so that small numbers suffer as much as large ones."""
    if not isinstance(value, Tensor):
        return float(f"{value:.3g}")
    if not value.is_floating_point():
        return value
    size = 10.0 ** (value.detach().double().abs().clamp_min(1e-300).log10().floor() - 2)
    return torch.where(value.isfinite(), ((value.double() / size).round() * size).to(value.dtype), value)


def _spread(t: Tensor) -> Tensor:
    """The same numbers, every second element of a wider tensor."""
    if t.ndim == 0 or t.numel() < 2:
        return t
    wide = torch.zeros(*t.shape[:-1], 2 * t.shape[-1], dtype=t.dtype)
    wide[..., ::2] = t.detach()
    return wide[..., ::2]


def _one_buffer(answer: Answer, seen: Seen) -> Answer:
    """All results of one shape are written into the same tensor."""
    buffers: dict[Any, Tensor] = {}

    def one(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.requires_grad:
            return value
        seen.acted += 1
        return buffers.setdefault((value.shape, value.dtype), torch.empty(value.shape, dtype=value.dtype)).copy_(value)

    return lambda *args, **kwargs: mapped(answer(*args, **kwargs), one)


def _shared(answer: Answer, seen: Seen) -> Answer:
    """A result that equals an argument, or another part of the result, is that very memory."""

    def sabotaged(*args: Any, **kwargs: Any) -> Any:
        value, known = answer(*args, **kwargs), [t for t in data(args) if t.numel() and t.is_contiguous()]

        def one(part: Any) -> Any:
            if not isinstance(part, Tensor) or part.requires_grad or not part.numel():
                return part
            for other in known:
                if other.dtype == part.dtype and other.shape == part.shape and torch.equal(other, part):
                    seen.acted += 1
                    return other.detach().view(other.shape)
            known.append(part)
            return part

        return mapped(value, one)

    return sabotaged


FLOATS = (torch.float32, torch.float64)
OUTPUT_FORMS = named(
    "output",
    {
        "float64 for float32": _out(_from((torch.float32,), torch.float64)),
        "float32 for float64": _out(_from((torch.float64,), torch.float32)),
        "float16 for floats": _out(_from(FLOATS, torch.float16)),
        "rounded to bfloat16": _out(_tensor(lambda t: t.bfloat16().to(t.dtype) if t.is_floating_point() else t)),
        "rounded to 4 decimals": _out(_rounded(4)),
        "rounded to 3 digits": _out(_three_digits),
        "floats for integers": _out(_tensor(lambda t: t if t.is_floating_point() or t.dtype == torch.bool else t.float())),
        "uint8 for bool": _out(_from((torch.bool,), torch.uint8)),
        "int64 for int32": _out(_from((torch.int32,), torch.int64)),
        "int16 for int8": _out(_from((torch.int8,), torch.int16)),
        "not contiguous": _out(_tensor(_spread)),
        "requires_grad": _out(
            _tensor(lambda t: t.detach().clone().requires_grad_() if t.is_floating_point() and not t.requires_grad else t)
        ),
        "detached": _out(_tensor(lambda t: t.detach() if t.requires_grad else t)),
        "a tensor for a number": _out(_number(torch.tensor)),
        "numpy's float16 for a number": _out(_number(np.float16)),
        "one buffer for all results": _one_buffer,
        "memory shared": _shared,
    },
)
