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
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.finetuning.parameter_groups_mistakes import PARAMETER_MISTAKES
from posttrain_lab.checks.finetuning.parameter_groups_oracle import right_groups
from posttrain_lab.models import digits_cnn

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


def groups_workload(seed: int) -> list[Case]:
    """The notebook's network with its rates, and layers whose parameters hold equal numbers."""
    draw = Draw(seed, "workload of parameter_groups")
    width = draw.whole(3, 6)
    with torch.random.fork_rng(devices=[]):
        network = digits_cnn()
        alike = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Linear(width, width), nn.LayerNorm(width))))
    for linear in list(alike)[::2]:
        nn.init.constant_(linear.weight, 0.5)  # type: ignore[arg-type]
        nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
    return [
        Case("the notebook's network", (network, 1e-3, draw.pick((0.3, 0.5, 0.6)))),
        Case("layers that hold the same numbers", (alike, draw.real(0.01, 0.5), draw.real(0.3, 0.8))),
    ]


parameter_groups = Exercise(
    name="parameter_groups",
    unit="03_fine_tuning",
    points=2,
    difficulty=3,
    minutes=14,
    oracle=right_groups,
    cases=groups_cases,
    workload=groups_workload,
    mistakes=PARAMETER_MISTAKES,
    judge=groups_judge(),
    legal={"a tensor for a number": "Return a list of dicts as optimizers take it"},
    through="finetuning.parameter_groups:grouped",
    library="finetuning:parameter_groups",
)
