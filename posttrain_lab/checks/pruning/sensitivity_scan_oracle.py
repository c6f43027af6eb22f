"""The right answer to `sensitivity_scan`: prune one layer alone, measure on the validation images, restore the weights."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.pruning.magnitude_mask import right_magnitude
from posttrain_lab.data import Dataset, Split

Scan = Callable[[nn.Module, Split, list[float]], Any]


LAYERS = (nn.Linear, nn.Conv2d)


def prunable_layers(model: nn.Module, kinds: tuple[type[nn.Module], ...] = LAYERS) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, kinds))


@torch.no_grad()
def accuracy(model: nn.Module, data: Dataset) -> float:
    return int((model(data.images).argmax(1) == data.labels).sum()) / len(data)


@contextmanager
def pruned(
    twin: nn.Module, names: Iterable[str], sparsity: float, mask: Callable[[Tensor, float], Tensor]
) -> Iterator[nn.Module]:
    """Inside the block these layers of a copy are pruned."""
    layers: list[Any] = [twin.get_submodule(name) for name in names]
    kept = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = layer.weight.data * mask(layer.weight.data, sparsity)
    yield twin
    for layer, weight in zip(layers, kept, strict=True):
        layer.weight.data = weight


def scan(
    part: str = "validation",
    kinds: tuple[type[nn.Module], ...] = LAYERS,
    chosen: Callable[[list[str], str], list[str]] = lambda names, name: [name],
    mask: Callable[[Tensor, float], Tensor] = right_magnitude,
    value: Callable[[float], Any] = float,
    order: Callable[[list[float]], list[float]] = list,
    mode: Callable[[nn.Module], nn.Module] = nn.Module.eval,
    after: Callable[[nn.Module, list[float]], Any] = lambda model, sparsities: None,
) -> Scan:
    """The right answer with one thing changed; `after` names what is wrongly left on the model itself."""

    def sensitivity_scan(model: nn.Module, split: Split, sparsities: list[float]) -> Any:
        names, data, twin = [name for name, _ in prunable_layers(model, kinds)], getattr(split, part), mode(copy.deepcopy(model))
        curves: dict[str, list[Any]] = {name: [] for name in names}
        for name in names:
            for sparsity in order(sparsities):
                with pruned(twin, chosen(names, name), sparsity, mask):
                    curves[name].append(value(accuracy(twin, data)))
        after(model, sparsities)
        return curves

    return sensitivity_scan


right_scan = scan()
