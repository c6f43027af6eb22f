"""The right answer to `freeze`, and the steps that the known mistakes change."""

from collections.abc import Callable, Iterable

from torch import nn


def norms_of(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def set_flags(model: nn.Module, learns: Callable[[str], bool]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learns(name))


def set_to_eval(layers: Iterable[nn.Module]) -> None:
    for layer in layers:
        layer.eval()


def is_frozen(layer: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in layer.parameters())


def count_trainable(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def right_freeze(model: nn.Module, trainable: list[str]) -> int:
    set_flags(model, lambda name: name in trainable)
    set_to_eval(layer for layer in norms_of(model) if is_frozen(layer))
    return count_trainable(model)
