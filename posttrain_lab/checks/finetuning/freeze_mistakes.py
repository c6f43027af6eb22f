"""The known mistakes of `freeze`, each with its message."""

from collections.abc import Callable
from typing import Any

from torch import nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.freeze_oracle import count_trainable, is_frozen, norms_of, set_flags, set_to_eval

Freeze = Callable[[nn.Module, list[str]], Any]


def _wrong(
    learns: Callable[[str, list[str]], bool] = lambda name, trainable: name in trainable,
    set_norms: Callable[[nn.Module], None] = lambda model: set_to_eval(layer for layer in norms_of(model) if is_frozen(layer)),
    count: Callable[[nn.Module], Any] = count_trainable,
) -> Freeze:
    """The right answer with one part changed."""

    def freeze(model: nn.Module, trainable: list[str]) -> Any:
        set_flags(model, lambda name: learns(name, trainable))
        set_norms(model)
        return count(model)

    return freeze


def _on_modules(model: nn.Module, trainable: list[str]) -> int:
    """Sets an attribute of this name on the layers, where it has no effect."""
    layers = {name.rpartition(".")[0] for name in trainable}
    for name, module in model.named_modules():
        if not list(module.children()):
            module.requires_grad = name in layers  # type: ignore[assignment]
            if isinstance(module, nn.BatchNorm2d) and name not in layers:
                module.eval()
    return count_trainable(model)


def _never_made_trainable(model: nn.Module, trainable: list[str]) -> int:
    for name, parameter in model.named_parameters():
        if name not in trainable:
            parameter.requires_grad_(False)
    set_to_eval(layer for layer in norms_of(model) if is_frozen(layer))
    return count_trainable(model)


def _without_momentum(model: nn.Module) -> None:
    for layer in norms_of(model):
        if is_frozen(layer):
            layer.momentum = 0.0


def _norms_first(model: nn.Module, trainable: list[str]) -> int:
    """Uses the flags of the given network."""
    set_to_eval(layer for layer in norms_of(model) if is_frozen(layer))
    set_flags(model, lambda name: name in trainable)
    return count_trainable(model)


def _untracked(model: nn.Module) -> None:
    for layer in norms_of(model):
        if is_frozen(layer):
            layer.track_running_stats = False


FREEZE_MISTAKES = (
    Mistake(
        "statistics updated",
        "Your frozen batch norms still update running_mean and running_var; requires_grad does not stop that, eval mode does.",
        _wrong(set_norms=lambda model: None),
    ),
    Mistake(
        "requires_grad on modules",
        "You set requires_grad on layers, where it has no effect; set it on parameters (model.named_parameters()).",
        _on_modules,
    ),
    Mistake(
        "the others trained",
        "You froze the parameters that should be trainable, and left the others trainable; it is the other way round.",
        _wrong(lambda name, trainable: name not in trainable),
    ),
    Mistake(
        "never made trainable",
        "You only freeze parameters; the named ones may have been frozen before: set requires_grad to True for them.",
        _never_made_trainable,
    ),
    Mistake(
        "part of a name",
        "You look for a name inside another: 1.weight is part of 11.weight; compare whole names.",
        _wrong(lambda name, trainable: any(one in name for one in trainable)),
    ),
    Mistake(
        "whole layers",
        "You make the whole layer of each name trainable; only the named parameters may be trainable.",
        _wrong(lambda name, trainable: name.rpartition(".")[0] in {one.rpartition(".")[0] for one in trainable}),
    ),
    Mistake(
        "all batch norms in eval mode",
        "You set every batch norm to eval mode; one with a trainable parameter must stay in train mode.",
        _wrong(set_norms=lambda model: set_to_eval(norms_of(model))),
    ),
    Mistake(
        "whole network in eval mode",
        "You set the whole network to eval mode; only frozen batch norms belong there, the rest stays in train mode (dropout too).",
        _wrong(set_norms=lambda model: set_to_eval([model])),
    ),
    Mistake(
        "momentum 0",
        "With momentum 0 a batch norm still normalizes by the batch; frozen, it must use its stored statistics: eval mode.",
        _wrong(set_norms=_without_momentum),
    ),
    Mistake(
        "not tracked",
        "Without track_running_stats a batch norm normalizes by the batch; frozen, it must use its stored statistics: eval mode.",
        _wrong(set_norms=_untracked),
    ),
    Mistake(
        "half-frozen norms in eval mode",
        "You freeze a batch norm as soon as one of its parameters is frozen; freeze it only when none is trainable.",
        _wrong(
            set_norms=lambda model: set_to_eval(
                layer
                for layer in norms_of(model)
                if is_frozen(layer) or not all(parameter.requires_grad for parameter in layer.parameters())
            )
        ),
    ),
    Mistake(
        "batch norms checked first",
        "You check the batch norms before you set requires_grad, so you use the old flags; set the flags first.",
        _norms_first,
    ),
    Mistake(
        "tensors counted",
        "You count tensors; count their elements (numel).",
        _wrong(count=lambda model: sum(parameter.requires_grad for parameter in model.parameters())),
    ),
    Mistake(
        "all counted",
        "You count all parameters; count only those that are trainable.",
        _wrong(count=lambda model: sum(parameter.numel() for parameter in model.parameters())),
    ),
)
