"""What a caller would miss if it changed: the facts about a value, by a name in words. `manners` compares them before and after a call.

A fact is more than a value: whether a parameter is trained, in which mode each layer is, which objects a list holds, in which order.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.data import Split

LARGE = 2_000_000  # of larger tensors no copy is made
DEPTH = 4
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OPTIMIZER_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
PLAIN = {bool, int, float, str, type(None)}  # most arguments of most calls: nothing about them can change
Fact = tuple[str, Any]


def facts(where: str, value: Any, seen: set[int], depth: int = 0) -> Iterator[Fact]:
    """The facts about a tensor, network, optimizer or container; of anything else there are none.

    `seen`: the ids of tensors that were met before under another name (the weights of an optimizer are keys of a dict of masks too).

    >>> dict(facts("argument 1", [1, 2], set()))["the items of argument 1"] == [1, 2]
    True
    """
    if type(value) in PLAIN:
        return
    if isinstance(value, Tensor):
        yield from _of_tensor(where, value, seen)
    elif isinstance(value, nn.Module):
        yield from _of_network(where, value, seen)
    elif isinstance(value, torch.optim.Optimizer):
        yield from _of_optimizer(where, value, seen)
    elif isinstance(value, dict) and depth < DEPTH:
        yield f"the keys of {where} or their order", [_key(key) for key in value]
        for number, (key, item) in enumerate(value.items()):
            yield from _of_item(f"{where}[{number if isinstance(key, Tensor) else repr(key)}]", item, seen, depth)
            if isinstance(key, Tensor):
                yield from facts(f"key {number} of {where}", key, seen, depth + 1)
    elif isinstance(value, list | tuple) and depth < DEPTH:
        yield f"the items of {where}", [_key(item) for item in value]
        for number, item in enumerate(value):
            yield from _of_item(f"{where}[{number}]", item, seen, depth)
    elif isinstance(value, Split):
        for part in ("train", "calibration", "validation", "test"):
            yield from facts(f"the {part} images", getattr(value, part).images, seen)
            yield from facts(f"the {part} labels", getattr(value, part).labels, seen)


def _of_item(where: str, item: Any, seen: set[int], depth: int) -> Iterator[Fact]:
    yield where, _key(item)
    yield from facts(where, item, seen, depth + 1)


def _of_tensor(where: str, value: Tensor, seen: set[int]) -> Iterator[Fact]:
    if id(value) in seen:
        return
    seen.add(id(value))
    yield f"requires_grad of {where}", value.requires_grad
    yield f"the dtype or shape of {where}", (value.dtype, tuple(value.shape))
    yield f"the strides of {where}", value.stride() if value.layout == torch.strided else None
    if value.is_leaf:
        yield f"the gradient (.grad) of {where}", _numbers(value.grad)
    yield f"the values of {where}", _numbers(value)


def _of_network(where: str, value: nn.Module, seen: set[int]) -> Iterator[Fact]:
    for name, layer in value.named_modules():
        at = f"layer {name} of {where}" if name else where
        yield f"the mode (train or eval) of {at}", layer.training
        yield f"the hooks of {at}", tuple(len(getattr(layer, hooks)) for hooks in HOOKS)
        yield f"the class of {at}", type(layer)
        yield f"the attributes of {at}", sorted(vars(layer))
        for key, parameter in layer._parameters.items():
            if parameter is not None:
                yield f"which object the Parameter {key} of {at} is", id(parameter)
                yield from _of_tensor(f"{key} of {at}", parameter, seen)
        for key, buffer in layer._buffers.items():
            yield f"the values of {key} of {at}", _numbers(buffer)


def _of_optimizer(where: str, value: torch.optim.Optimizer, seen: set[int]) -> Iterator[Fact]:
    yield f"the options of {where}", [{k: repr(v) for k, v in group.items() if k != "params"} for group in value.param_groups]
    yield f"which parameters {where} has", [id(p) for group in value.param_groups for p in group["params"]]
    yield f"the hooks of {where}", tuple(len(getattr(value, hooks, ())) for hooks in OPTIMIZER_HOOKS)
    for number, parameter in enumerate(p for group in value.param_groups for p in group["params"]):
        yield from _of_tensor(f"parameter {number} of {where}", parameter, seen)


def _key(item: Any) -> Any:
    """What an item is known by: plain values by themselves, objects by which object it is."""
    return item if isinstance(item, str | int | float | bool | None) else id(item)


def _numbers(value: Tensor | None) -> Any:
    if value is None or value.layout != torch.strided or value.numel() > LARGE:
        return None if value is None else "large"
    return value.detach().clone()


def differ(first: Any, second: Any) -> bool:
    """Are two facts different? (NaN is equal to NaN.)

    >>> differ(torch.tensor([float("nan")]), torch.tensor([float("nan")])), differ([1, 2], [2, 1])
    (False, True)
    """
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return isinstance(first, Tensor) != isinstance(second, Tensor) or first != second
    if first.dtype != second.dtype or first.shape != second.shape:
        return True
    return not torch.equal(first, second) and not torch.equal(first.nan_to_num(0.125), second.nan_to_num(0.125))
