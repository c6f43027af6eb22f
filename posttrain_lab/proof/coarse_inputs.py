"""Saboteurs that look at their arguments coarsely: in 16 bits, rounded, clipped, without the last row."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.proof.saboteurs import Answer, Seen, named
from posttrain_lab.proof.values import mapped


def _coarse(change: Callable[[Any], Any]) -> Callable[[Answer, Seen], Answer]:
    def wrap(answer: Answer, seen: Seen) -> Answer:
        def one(value: Any) -> Any:
            new = change(value)
            seen.acted += _changed(value, new)
            return new

        return lambda *args, **kwargs: answer(
            *(mapped(a, one) for a in args), **{key: mapped(value, one) for key, value in kwargs.items()}
        )

    return wrap


def _changed(old: Any, new: Any) -> bool:
    if isinstance(old, Tensor):
        return new is not old and bool(old.numel()) and not torch.equal(new.detach().nan_to_num(), old.detach().nan_to_num())
    return old != new


def _floating(tensor: Callable[[Tensor], Tensor], number: Callable[[float], float] = lambda x: x) -> Callable[[Any], Any]:
    """The change of floating tensors, and of numbers."""
    return lambda value: (tensor(value) if value.is_floating_point() else value) if isinstance(value, Tensor) else number(value)


def _last_like_the_one_before(t: Tensor) -> Tensor:
    return torch.cat([t[:-1], t[-2:-1]]) if t.ndim and len(t) > 1 else t


COARSE_INPUTS = named(
    "inputs",
    {
        "inputs in bfloat16": _coarse(_floating(lambda t: t.bfloat16().to(t.dtype))),
        "inputs in float16": _coarse(_floating(lambda t: t.half().to(t.dtype))),
        "inputs rounded to 3 decimals": _coarse(_floating(lambda t: (t * 1000).round() / 1000, lambda x: round(x, 3))),
        "inputs rounded to whole numbers": _coarse(_floating(torch.round)),
        "float64 inputs in float32": _coarse(_floating(lambda t: t.float().double() if t.dtype == torch.float64 else t)),
        "inputs clipped to 10,000": _coarse(_floating(lambda t: t.clamp(-1e4, 1e4))),
        "tiny inputs taken for 0": _coarse(_floating(lambda t: torch.where(t.abs() < 1e-6, torch.zeros_like(t), t))),
        "the last row taken for the one before": _coarse(_floating(_last_like_the_one_before)),
    },
)
