"""Look into the arguments and results of any exercise: its tensors, its sizes; and make a value slightly wrong."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.data import Split


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a value: of containers, networks, optimizers and a Split too.

    >>> [t.tolist() for t in tensors({"a": [torch.ones(1)], "b": 2})]
    [[1.0]]
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from (key for key in value if isinstance(key, Tensor))
        yield from tensors(list(value.values()))
    elif isinstance(value, nn.Module):
        yield from value.parameters()
        yield from value.buffers()
    elif isinstance(value, torch.optim.Optimizer):
        yield from (p for group in value.param_groups for p in group["params"])
    elif isinstance(value, Split):
        for part in ("train", "calibration", "validation", "test"):
            yield from (getattr(value, part).images, getattr(value, part).labels)


def data(args: Iterable[Any]) -> list[Tensor]:
    """The tensors of arguments, those of networks and optimizers left out."""
    return [t for a in args if not isinstance(a, nn.Module | torch.optim.Optimizer) for t in tensors(a)]


def floats(args: Iterable[Any]) -> list[Tensor]:
    """The floating tensors of arguments."""
    return [t for a in args for t in tensors(a) if t.is_floating_point()]


def rows(args: list[Any]) -> int:
    """The largest first dimension, length of a container, number of lines of a text, or whole number."""
    sizes = [t.shape[0] for t in data(args) if t.ndim]
    sizes += [len(a.splitlines()) if isinstance(a, str) else len(a) for a in args if isinstance(a, list | dict | str)]
    sizes += [a for a in args if type(a) is int]
    return max(sizes or [t.shape[0] for a in args for t in tensors(a) if t.ndim], default=0)


def columns(args: list[Any]) -> int:
    """The largest last dimension."""
    own = [t.shape[-1] for t in data(args) if t.ndim > 1]
    return max(own or [t.shape[1] for a in args for t in tensors(a) if t.ndim > 1], default=0)


def elements(args: list[Any]) -> int:
    """The largest number of elements of a tensor."""
    return max((t.numel() for a in args for t in tensors(a)), default=0)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with its tensors and floats changed."""
    if isinstance(value, Tensor | float):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(mapped(item, change) for item in value)
    return {key: mapped(item, change) for key, item in value.items()} if isinstance(value, dict) else value


def corrupted(value: Any, args: tuple[Any, ...] = ()) -> Any:
    """The value, wrong in one place. Where nothing is returned, a tensor among the arguments gets a wrong element.

    >>> corrupted(torch.tensor([1, 2])), corrupted(torch.zeros(0)), corrupted((True, 3)), corrupted("a")
    (tensor([1, 1]), tensor([0.]), (True, 4), 'ax')
    >>> from posttrain_lab.deployment.budget import Facts
    >>> round(corrupted(Facts("a", 0.9, 8, 9, 1.0, 2.0)).joules, 6)
    2.7
    """
    if isinstance(value, Tensor):
        return _corrupted_tensor(value)
    if isinstance(value, bool | int | float | str):
        return _corrupted_scalar(value)
    if isinstance(value, list | tuple) and value:
        return type(value)([*value[:-1], corrupted(value[-1])])
    if isinstance(value, dict) and value:
        key = "lr" if "lr" in value else list(value)[-1]
        return {**value, key: corrupted(value[key])}
    if isinstance(value, nn.Module) or value is None:
        with torch.no_grad():
            for tensor in floats([value] if value is not None else args)[-1 if value is not None else 0 :][:1]:
                tensor[(-1,) * tensor.ndim] += 0.3
        return value
    if is_dataclass(value) and not isinstance(value, type):
        last = fields(value)[-1].name
        return replace(value, **{last: corrupted(getattr(value, last))})
    return (lambda *inner: corrupted(value(*inner))) if callable(value) else value


def _corrupted_tensor(value: Tensor) -> Tensor:
    if not value.numel():
        return value.new_zeros(1)
    last = torch.zeros(value.numel(), dtype=torch.bool)
    last[-1] = True
    last = last.reshape(value.shape)
    if value.dtype == torch.bool:
        return value ^ last
    wrong = value * 1.3 + 0.1 if value.is_floating_point() else value - 1
    return torch.where(last, wrong, value).to(value.dtype)


def _corrupted_scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, int):
        return value + 1
    return value * 1.3 + 0.1 if math.isfinite(value) else 0.0
