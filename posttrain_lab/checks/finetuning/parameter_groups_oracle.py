"""The right answer to `parameter_groups`, and the parts that the known mistakes change."""

from collections.abc import Callable
from typing import Any

from torch import nn

Groups = list[dict[str, Any]]


def owners(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]


def is_spared(layer: nn.Module, name: str) -> bool:
    return name == "bias" or isinstance(layer, nn.BatchNorm2d | nn.LayerNorm)


def right_groups(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return groups_of(model, lambda place, count: base_lr * decay ** (count - 1 - place))


def groups_of(
    model: nn.Module,
    rate: Callable[[int, int], float],
    without_decay: Callable[[nn.Module, str], bool] = is_spared,
    layers: Callable[[nn.Module], list[nn.Module]] = owners,
    again: bool = False,
    decayed: dict[str, float] | None = None,
) -> Groups:
    """One group for each parameter, by layers from the first to the last; `again` lists a shared parameter twice."""
    groups: Groups = []
    seen: set[int] = set()
    found = layers(model)
    for place, layer in enumerate(found):
        for name, parameter in layer.named_parameters():
            if again or id(parameter) not in seen:
                seen.add(id(parameter))
                owner = layer.get_submodule(name.rpartition(".")[0])
                extra = {"weight_decay": 0.0} if without_decay(owner, name.rpartition(".")[2]) else (decayed or {})
                groups.append({"params": [parameter], "lr": rate(place, len(found)), **extra})
    return groups
