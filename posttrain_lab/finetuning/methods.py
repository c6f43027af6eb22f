"""Five ways to adapt a trained network to a new task with few labels, behind one call; and gradual unfreezing.

| method    | what is trained                                                | starts from     |
|-----------|----------------------------------------------------------------|-----------------|
| "scratch" | everything                                                     | random weights  |
| "head"    | the last layer                                                 | the base        |
| "norm"    | scales and shifts of the norms, whose statistics change too    | the base        |
| "lora"    | A and B beside every Linear and Conv2d; statistics of norms    | the base        |
| "all"     | everything                                                     | the base        |

Sources: norm-only, Frankle, Schwab, Morcos 2021; LoRA, Hu et al. 2022; gradual unfreezing, Howard and Ruder 2018.
"""

import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from posttrain_lab.data import Dataset
from posttrain_lab.module_walks import check_copyable, check_own_weights
from posttrain_lab.training import Hooks, TrainingConfig, check_labels, train

from .adapters import add_lora, own_statistics
from .freeze import check_names, freeze, head_names, norm_names, unfreeze

Method = Literal["scratch", "head", "norm", "lora", "all"]
METHODS: tuple[Method, ...] = ("scratch", "head", "norm", "lora", "all")
RATES: dict[str, float] = {"scratch": 5e-3, "head": 2e-2, "norm": 2e-2, "lora": 5e-3, "all": 2e-3}


@dataclass(frozen=True)
class AdaptConfig:
    """How to adapt. A learning rate of None is the method's own, from `RATES`; the rates were chosen on validation data.

    `steps` of the optimizer, for any number of labels; `rank` of LoRA, whose scale alpha / rank is `scale`. A class without a
    label is an error unless `missing_classes` is true.
    """

    steps: int = 200
    batch_size: int = 25
    learning_rate: float | None = None
    weight_decay: float = 0.01
    rank: int = 2
    scale: float = 2.0
    missing_classes: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.rank < 1 or not self.scale > 0:
            raise ValueError(
                f"AdaptConfig wants steps, batch_size, rank >= 1 and scale > 0, got {self.steps}, {self.batch_size}, "
                f"{self.rank}, {self.scale}."
            )


def check_classes(data: Dataset, missing: bool, caller: str) -> None:
    """Raise ValueError for no examples, labels outside the classes, or, unless `missing`, a class without a label."""
    if not len(data):
        raise ValueError(f"{caller} wants labelled examples, got none.")
    check_labels(data.labels, len(data.classes), caller)
    empty = [
        name
        for name, count in zip(data.classes, torch.bincount(data.labels, minlength=len(data.classes)), strict=True)
        if not count
    ]
    if empty and not missing:
        raise ValueError(
            f"{caller} wants a label of every class, got none of {', '.join(map(repr, empty))}; label some (see few_labels), or say "
            "missing_classes=True: the network will hardly ever answer with these classes."
        )


@torch.no_grad()
def _redraw(module: nn.Module) -> None:
    """New values for a module's own parameters (a position's embedding), with the mean and standard deviation of the old ones."""
    for parameter in (p for p in module.parameters(recurse=False) if p.is_floating_point()):
        parameter.normal_(float(parameter.mean()), float(parameter.std(correction=0)))


def reinitialized(model: nn.Module, seed: int) -> nn.Module:
    """The same network with new random weights, as torch draws them with `seed`.

    Parameters of a module without `reset_parameters` are drawn from a normal distribution with their own mean and standard deviation.

    >>> first, second = reinitialized(nn.Linear(2, 2), seed=0), reinitialized(nn.Linear(2, 2), seed=0)
    >>> torch.equal(first.weight, second.weight)
    True
    """
    check_own_weights("reinitialized", model)
    fresh = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))  # MultiheadAttention's
            if callable(reset):
                reset()
            else:
                _redraw(module)
    return fresh


def prepared(base: nn.Module, method: Method, config: AdaptConfig) -> nn.Module:
    """The network that a method begins with, a new one: trainable parameters have requires_grad, everything else is frozen.

    Raises ValueError for another method.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    >>> {m: sum(p.numel() for p in prepared(model, m, AdaptConfig(rank=1)).parameters() if p.requires_grad) for m in METHODS}
    {'scratch': 38, 'head': 10, 'norm': 8, 'lora': 14, 'all': 38}
    """
    if method not in METHODS:
        raise ValueError(f"adapt wants one of {', '.join(METHODS)}, got {method!r}.")
    check_copyable("adapt", base)
    if method == "lora":
        return own_statistics(add_lora(base, config.rank, config.scale * config.rank, seed=config.seed))
    model = reinitialized(base, config.seed) if method == "scratch" else copy.deepcopy(base)
    if method in ("scratch", "all"):
        unfreeze(model)
    else:
        freeze(model, head_names(model) if method == "head" else norm_names(model))
    return model


def _training(count: int, method: Method, config: AdaptConfig) -> TrainingConfig:
    """As many epochs as `steps` need."""
    epochs = math.ceil(config.steps / math.ceil(count / config.batch_size))
    rate = RATES[method] if config.learning_rate is None else config.learning_rate
    return TrainingConfig(epochs, config.batch_size, rate, config.weight_decay, seed=config.seed)


def adapt(
    base: nn.Module, data: Dataset, method: Method, config: AdaptConfig | None = None, hooks: Hooks | None = None
) -> nn.Module:
    """A new network, adapted to this task by this method, in eval mode; the base is not changed.

    data: the labelled examples, images as the base takes them, labels in 0..classes-1. After "lora" the network has its
    adapters beside the unchanged base: see `save_adapter` and `merge_lora`. `hooks`: a penalty, early stopping, checkpoints.
    Raises ValueError for another method, no examples, labels outside the classes, or a class without a label.
    """
    config = config or AdaptConfig()
    check_classes(data, config.missing_classes, "adapt")
    model = prepared(base, method, config)
    training = _training(len(data), method, config)
    return train(model, data.images, data.labels, training, progress=False, hooks=hooks)[0]


def gradual_unfreezing(base: nn.Module, data: Dataset, stages: list[list[str]], training: TrainingConfig) -> nn.Module:
    """Train the last layer first, then unfreeze the ones before it, one after the other. A new network, in eval mode.

    stages: the parameter names that each stage unfreezes; each stage trains all unfrozen parameters for `training.epochs`.
    Raises ValueError for no stages or unknown names, and for labels as `adapt` does. Source: Howard and Ruder 2018.
    """
    check_classes(data, False, "gradual_unfreezing")
    if not stages:
        raise ValueError("gradual_unfreezing wants at least one stage, got none; begin with [head_names(model), ...].")
    check_copyable("gradual_unfreezing", base)
    model = copy.deepcopy(base)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    check_names([name for stage in stages for name in stage], names, "gradual_unfreezing")
    joined: list[str] = []
    for number, stage in enumerate(stages):
        joined += stage
        freeze(model, joined)
        own = dataclasses.replace(training, seed=training.seed + number)
        model = train(model, data.images, data.labels, own, progress=False)[0]
    return model


def stages_from_the_end(model: nn.Module) -> list[list[str]]:
    """One stage for each layer, the last one first: an argument for `gradual_unfreezing`.

    >>> stages_from_the_end(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False)))
    [['2.weight'], ['1.weight', '1.bias'], ['0.weight', '0.bias']]
    """
    stages: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        stages.setdefault(name.rpartition(".")[0], []).append(name)
    return list(stages.values())[::-1]
