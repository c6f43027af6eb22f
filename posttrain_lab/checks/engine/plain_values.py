"""Copies in both directions: of arguments, before a student's function gets them, and of its results.

Results may have plain types only, and no method that a student's object defines is called to copy or compare them.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.serialize import rebuilt


def copied(value: Any, needs_gradient: bool) -> Any:
    if isinstance(value, Tensor):
        twin = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype) if _overlap_free(value) else value.clone()
        twin.copy_(value.detach())
        return twin.requires_grad_(needs_gradient)
    return copy.deepcopy(value)


def _overlap_free(value: Tensor) -> bool:
    return all(stride > 0 for stride, size in zip(value.stride(), value.shape, strict=True) if size > 1)


def clean(value: Any) -> Any:
    """A copy made only of plain tensors, numbers, strings, containers and torch.nn layers; TypeError for anything else.

    New layers are built, so that nothing that was added to an instance (a hook, another `forward` or `state_dict`) is copied.
    """
    kind = type(value)
    if kind is Tensor or kind is nn.Parameter or kind is nn.Buffer:
        return _plain_tensor(value)
    if value is None or kind in (bool, int, float, str, torch.dtype):
        return value
    if kind is list:
        return [clean(item) for item in value]
    if kind in (tuple, torch.Size):
        return tuple(clean(item) for item in value)
    if kind is dict:
        return {str(key): clean(item) for key, item in value.items()}
    if kind.__module__ == "numpy" and hasattr(kind, "item") and getattr(value, "ndim", 1) == 0:
        return clean(value.item())
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return tuple(clean(item) for item in tuple.__iter__(value))
    if isinstance(value, nn.Module) and kind.__module__.startswith("torch.nn."):
        return rebuilt(value)
    advice = "; torch.from_numpy makes a tensor of it" if kind.__name__ == "ndarray" else ""
    raise TypeError(
        f"a plain tensor, number or torch.nn layer is wanted, a {kind.__module__}.{kind.__name__} was returned{advice}"
    )


def _plain_tensor(value: Tensor) -> Tensor:
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        raise TypeError("a dense tensor with numbers in it is wanted, a sparse, nested, quantized or meta tensor was returned")
    return torch.empty(value.shape, dtype=value.dtype).copy_(value.detach())


def identical(now: Any, before: Any) -> bool:
    """Are they equal bit for bit? For tensors, modules and containers of them."""
    if isinstance(before, Tensor):
        return isinstance(now, Tensor) and now.shape == before.shape and _equal_bits(now.detach(), before.detach())
    if isinstance(before, nn.Module):
        first, second = now.state_dict(), before.state_dict()
        return (
            first.keys() == second.keys()
            and all(identical(first[k], second[k]) for k in first)
            and now.training == before.training
        )
    if isinstance(before, list | tuple):
        return len(now) == len(before) and all(identical(a, b) for a, b in zip(now, before, strict=True))
    if isinstance(before, dict):
        return now.keys() == before.keys() and all(identical(now[k], before[k]) for k in before)
    return True


def _equal_bits(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first.nan_to_num(0.125), second.nan_to_num(0.125))
