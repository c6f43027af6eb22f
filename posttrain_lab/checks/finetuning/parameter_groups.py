"""Cases and known mistakes of `parameter_groups`: a learning rate for each layer, and no weight decay where it does harm.

Conventions that the notebook states in the same words: a layer is a module with parameters of its own, in the order of
`model.modules()`; the last has the rate base_lr, each one before it `decay` times the rate of the next; every parameter is in
exactly one group, a frozen one too; one that two layers share belongs to the first of them; biases and all parameters of norms get
"weight_decay": 0.0; groups of other weights have no key "weight_decay", so that the optimizer's own value is used. The order and the
number of groups are free.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw

Groups = list[dict[str, Any]]


Row = tuple[Any, Any]


@adapter
def grouped(function: Callable[..., Any], model: nn.Module, base_lr: float, decay: float) -> dict[str, list[Row]]:
    """The adapter: for each parameter's name, the rate and the weight decay (None: the group has no such key) of each group that lists it."""
    found: dict[str, list[Row]] = {name: [] for name, _ in model.named_parameters()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in function(model, base_lr, decay):
        listed = group["params"]
        for item in [listed] if isinstance(listed, Tensor) else listed:
            parameter = item[1] if isinstance(item, tuple) else item
            name = names.get(id(parameter), "a tensor that is not a parameter of the model")
            decayed = str(group["weight_decay"]) if group.get("weight_decay", 0.0) is None else _plain(group.get("weight_decay"))
            found.setdefault(name, []).append((_plain(group.get("lr")), decayed))
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def groups_judge() -> Judge:
    """Each parameter once, with its rate (float arithmetic of a power: 1e-6) and its decay."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        for name, rows in want.value.items():
            found = got.value.get(name)
            if not isinstance(found, list) or len(found) != len(rows):
                times = len(found) if isinstance(found, list) else 0
                return f"{name} is in {times} groups; every parameter must be in exactly one."
            if not rows:
                continue
            (rate, decay), (its_rate, its_decay) = rows[0], found[0]
            if its_rate is None or (problem := difference(rate, its_rate, 1e-6, 0.0)):
                return f'"lr" of {name}: {problem if its_rate is not None else "the group has none."}'
            if decay is None and its_decay is not None:
                return f'the group of {name} must leave "weight_decay" out, got {its_decay}.'
            if its_decay != decay:
                return f'"weight_decay" of {name}: expected {decay}, got {its_decay}.'
        unknown = set(got.value) - set(want.value)
        return f"the groups list {unknown.pop()}." if unknown else None

    return judge


def _owners(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]


def _without_decay(layer: nn.Module, name: str) -> bool:
    return name == "bias" or isinstance(layer, nn.BatchNorm2d | nn.LayerNorm)


def right_groups(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return _groups(model, lambda place, count: base_lr * decay ** (count - 1 - place))


def _groups(
    model: nn.Module,
    rate: Callable[[int, int], float],
    without_decay: Callable[[nn.Module, str], bool] = _without_decay,
    layers: Callable[[nn.Module], list[nn.Module]] = _owners,
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


def _tied(width: int) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, 3))
    model[3].weight = model[0].weight
    return model


def _nested(width: int) -> nn.Sequential:
    block: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(1, width, 3), norm=nn.BatchNorm2d(width), act=nn.ReLU(), again=nn.Conv2d(width, 2, 1)
    )
    return nn.Sequential(OrderedDict(body=nn.Sequential(block), flat=nn.Flatten(), head=nn.Linear(8, 3)))


def _partly_frozen(width: int) -> nn.Sequential:
    model = _nested(width)
    model.get_parameter("body.conv.weight").requires_grad_(False)
    return model


def groups_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "parameter_groups")
    width, decay = draw.whole(3, 8), draw.real(0.3, 0.8)
    with torch.random.fork_rng(devices=[]):
        plain = nn.Sequential(
            nn.Conv2d(1, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(9, width)
        )
        return [
            Case("a convolution, a batch norm and a linear layer", (plain, draw.real(0.01, 0.5), decay)),
            Case("layers inside layers", (_nested(width), draw.real(0.01, 0.5), 0.5)),
            Case("two layers that share a weight", (_tied(width), draw.real(0.01, 0.5), decay)),
            Case("layers without biases", (nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(width))), 0.001, 0.4)),
            Case("a single layer", (nn.Linear(width, 2), draw.real(0.01, 0.5), decay)),
            Case("the same rate for all: decay 1", (_nested(width), 0.02, 1.0)),
            Case("a frozen weight", (_partly_frozen(width), draw.real(0.01, 0.5), decay)),
        ]


def _wrong(rate: Callable[[float, float, int, int], float] | None = None, **changes: Any) -> Callable[..., Groups]:
    def parameter_groups(model: nn.Module, base_lr: float, decay: float) -> Groups:
        chosen = rate or (lambda base_lr, decay, place, count: base_lr * decay ** (count - 1 - place))
        return _groups(model, lambda place, count: chosen(base_lr, decay, place, count), **changes)

    return parameter_groups


def _by_tensor(model: nn.Module, base_lr: float, decay: float) -> Groups:
    """Each tensor counts as a layer."""
    groups = right_groups(model, base_lr, decay)
    return [{**group, "lr": base_lr * decay ** (len(groups) - 1 - place)} for place, group in enumerate(groups)]


def _every_module(model: nn.Module, base_lr: float, decay: float) -> Groups:
    """Layers without parameters count too."""
    leaves = [module for module in model.modules() if not list(module.children())]
    return _groups(model, lambda place, count: base_lr * decay ** (count - 1 - place), layers=lambda model: leaves)


def _as_weight_decay(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return _groups(model, lambda place, count: base_lr, decayed={"weight_decay": decay})


def _frozen_left_out(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return [group for group in right_groups(model, base_lr, decay) if group["params"][0].requires_grad]


def _decay_none(model: nn.Module, base_lr: float, decay: float) -> Groups:
    return [{"weight_decay": None, **group} for group in right_groups(model, base_lr, decay)]


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
        "decay None",
        'Your groups contain "weight_decay": None, which no optimizer accepts; leave the key out.',
        _decay_none,
    ),
)


parameter_groups = Exercise(
    name="parameter_groups",
    unit="03_fine_tuning",
    points=2,
    difficulty=3,
    minutes=14,
    oracle=right_groups,
    cases=groups_cases,
    mistakes=PARAMETER_MISTAKES,
    judge=groups_judge(),
    through="finetuning.parameter_groups:grouped",
    library="finetuning:parameter_groups",
)
