"""The known mistakes of `parameter_groups`, each with its message."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.parameter_groups_oracle import Groups, groups_of, is_spared, owners, right_groups


def _wrong(rate: Callable[[float, float, int, int], float] | None = None, **changes: Any) -> Callable[..., Groups]:
    def parameter_groups(model: nn.Module, base_lr: float, decay: float) -> Groups:
        chosen = rate or (lambda base_lr, decay, place, count: base_lr * decay ** (count - 1 - place))
        return groups_of(model, lambda place, count: chosen(base_lr, decay, place, count), **changes)

    return parameter_groups


def _by_tensor(model: nn.Module, base_lr: float, decay: float) -> Groups:
    """Each tensor counts as a layer."""
    groups = right_groups(model, base_lr, decay)
    return [{**group, "lr": base_lr * decay ** (len(groups) - 1 - place)} for place, group in enumerate(groups)]


def _every_module(model: nn.Module, base_lr: float, decay: float) -> Groups:
    """Layers without parameters count too."""
    leaves = [module for module in model.modules() if not list(module.children())]
    return groups_of(model, lambda place, count: base_lr * decay ** (count - 1 - place), layers=lambda model: leaves)


def _as_weight_decay(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return groups_of(model, lambda place, count: base_lr, decayed={"weight_decay": decay})


def _frozen_left_out(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return [group for group in right_groups(model, base_lr, decay) if group["params"][0].requires_grad]


def _decay_none(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return [{"weight_decay": None, **group} for group in right_groups(model, base_lr, decay)]


def _in_a_list(model: nn.Module, base_lr: float, decay: float) -> Groups:
    """Looks a parameter up in a list: `in` compares values."""
    layers, listed, groups = owners(model), [], []
    for place, layer in enumerate(layers):
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter not in listed:
                listed.append(parameter)
                extra = {"weight_decay": 0.0} if is_spared(layer, name) else {}
                groups.append({"params": [parameter], "lr": base_lr * decay ** (len(layers) - 1 - place), **extra})
    return groups


def _equal_numbers(model: nn.Module, base_lr: float, decay: float) -> Groups:
    """Takes parameters that hold equal numbers for one."""
    listed: list[Tensor] = []
    groups: Groups = []
    for group in right_groups(model, base_lr, decay):
        (parameter,) = group["params"]
        if not any(torch.equal(parameter, other) for other in listed):
            listed.append(parameter)
            groups.append(group)
    return groups


PARAMETER_MISTAKES = (
    Mistake(
        "shared twice",
        "A parameter that two layers share is in two groups and would change twice in each step; list it with the first layer only.",
        _wrong(again=True),
    ),
    Mistake(
        "order reversed",
        "Your first layer has the largest rate; the last has base_lr, and each one before it `decay` times the rate of the next.",
        _wrong(lambda base_lr, decay, place, count: base_lr * decay**place),
    ),
    Mistake(
        "biases decayed",
        'Biases get weight decay; give them "weight_decay": 0.0.',
        _wrong(without_decay=lambda layer, name: isinstance(layer, nn.BatchNorm2d | nn.LayerNorm)),
    ),
    Mistake(
        "norms decayed",
        'The weights of norms get weight decay, which pulls a scale of 1 to 0; give all parameters of norms "weight_decay": 0.0.',
        _wrong(without_decay=lambda layer, name: name == "bias"),
    ),
    Mistake(
        "nothing decayed",
        'You turn weight decay off for all parameters; only biases and norms get "weight_decay": 0.0.',
        _wrong(without_decay=lambda layer, name: True),
    ),
    Mistake(
        "one step too slow",
        "Even your last layer has a smaller rate; its rate is base_lr itself, decay to the power 0.",
        _wrong(lambda base_lr, decay, place, count: base_lr * decay ** (count - place)),
    ),
    Mistake(
        "linear",
        "Your rates decrease by equal amounts; they must decrease by equal factors: `decay` times the rate of the next layer.",
        _wrong(lambda base_lr, decay, place, count: base_lr * (1 - (1 - decay) * (count - 1 - place))),
    ),
    Mistake(
        "one rate",
        "All your layers have the rate base_lr; those further from the output must have smaller rates.",
        _wrong(lambda base_lr, decay, place, count: base_lr),
    ),
    Mistake(
        "divided by decay",
        "You divide by decay, so early layers get the larger rates; multiply, once for each later layer.",
        _wrong(lambda base_lr, decay, place, count: base_lr / decay ** (count - 1 - place)),
    ),
    Mistake(
        "tensors for layers",
        "Your rate decreases with each tensor; the weight and the bias of one layer have the same rate.",
        _by_tensor,
    ),
    Mistake(
        "layers without parameters counted",
        "You count layers that have no parameters (ReLU, Flatten); count only those with parameters of their own.",
        _every_module,
    ),
    Mistake(
        "children for layers",
        "You count only the outermost layers, so a whole block has one rate; use model.modules(), which includes inner layers.",
        _wrong(layers=lambda model: [child for child in model.children() if any(True for _ in child.parameters())] or [model]),
    ),
    Mistake(
        "decay as weight decay",
        "You used `decay` as the weight decay; it is the factor between the learning rates of neighbouring layers.",
        _as_weight_decay,
    ),
    Mistake(
        "frozen left out",
        "You leave out parameters with requires_grad = False; every parameter must be in a group.",
        _frozen_left_out,
    ),
    Mistake(
        "in a list",
        "`in` on a list compares the values of two parameters; to test whether they are one object use `is`, a set or a dict.",
        _in_a_list,
    ),
    Mistake(
        "equal numbers",
        "You take two parameters that hold equal numbers for one, as new norms do; compare which object it is (`is`, id).",
        _equal_numbers,
    ),
    Mistake(
        "decay None",
        'Your groups contain "weight_decay": None, which no optimizer accepts; leave the key out.',
        _decay_none,
    ),
)
