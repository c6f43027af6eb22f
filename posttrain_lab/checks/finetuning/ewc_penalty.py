"""Cases and known mistakes of `ewc_penalty`: a penalty for changing the weights on which the old task depends.

Conventions that the notebook states in the same words: strength / 2 * the sum over all elements of fisher * (parameter - anchor)^2;
`anchor` and `fisher` have the same keys, names of `model.named_parameters()`; parameters that they do not name (a new head) get no penalty; the
result is a scalar tensor, as exact as the parameters or more, also with strength 0, whose gradient reaches the parameters; a frozen
parameter that they name counts too.

The parameters of the network carry gradients of the new task (`.grad`), as they do in training: the penalty does not use them.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.random_cases import Draw, ladder
from posttrain_lab.checks.finetuning.ewc_penalty_mistakes import PENALTY_MISTAKES
from posttrain_lab.checks.finetuning.ewc_penalty_oracle import Named, right_penalty
from posttrain_lab.checks.finetuning.precise import precise
from posttrain_lab.models import digits_cnn


@adapter
def penalty_and_gradient(
    function: Callable[..., Any], model: nn.Module, anchor: Named, fisher: Named, strength: float
) -> dict[str, Any]:
    """The adapter: the penalty of a copy of the network, and its gradient by every parameter."""
    twin = copy.deepcopy(model)
    for number, parameter in enumerate(twin.parameters(), start=2):
        numbers = torch.linspace(-number, number + 1, parameter.numel(), dtype=parameter.dtype)
        parameter.grad = numbers.reshape(parameter.shape)
    penalty = function(twin, copy.deepcopy(anchor), copy.deepcopy(fisher), strength)
    if not isinstance(penalty, Tensor) or not penalty.requires_grad or penalty.ndim:
        return {
            "penalty": penalty,
            ".grad": _gradients_of(twin),
            "gradient": "none: the result does not depend on the parameters",
        }
    kept, parameters = _gradients_of(twin), {name: p for name, p in twin.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(penalty, list(parameters.values()), allow_unused=True)
    gradient = {
        name: torch.zeros_like(parameter) if one is None else one
        for (name, parameter), one in zip(parameters.items(), found, strict=True)
    }
    return {"penalty": penalty, ".grad": kept, "gradient": gradient}


def _gradients_of(model: nn.Module) -> dict[str, Tensor]:
    """What is in `.grad` of each parameter; zeros where it was cleared."""
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def _case(draw: Draw, words: str, model: nn.Module, names: list[str] | None = None, moved: float = 1.0) -> Case:
    parameters = dict(model.named_parameters())
    for parameter in parameters.values():
        parameter.data = draw.normal(*parameter.shape)
    names = list(parameters) if names is None else names
    anchor = {name: parameters[name].detach() + moved * draw.normal(*parameters[name].shape) for name in names}
    fisher = {name: draw.uniform(0.1, 3.0, *parameters[name].shape) for name in names}
    return Case(words, (model, anchor, fisher, draw.real(0.5, 5.0) + 1.5))


def _zero_fisher(case: Case) -> Case:
    model, anchor, fisher, strength = case.args
    fisher = {name: value * (torch.arange(value.numel()) % 2).reshape(value.shape) for name, value in fisher.items()}
    return Case(case.words, (model, anchor, fisher, strength))


def _shuffled(case: Case) -> Case:
    """The same names, in fisher in reverse order."""
    model, anchor, fisher, strength = case.args
    return Case(case.words, (model, anchor, dict(reversed(fisher.items())), strength))


def penalty_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "ewc_penalty")
    a, b = draw.whole(2, 5), draw.whole(3, 6)
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Conv2d(1, a, 2), nn.BatchNorm2d(a), nn.ReLU(), nn.Flatten(), nn.Linear(4 * a, b))
        pair = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 3))
        square = nn.Sequential(nn.Linear(b, b), nn.ReLU(), nn.Linear(b, b))
        headed = nn.Sequential(nn.Linear(b, a), nn.Linear(a, 4))
        return [
            _case(draw, "two layers that have changed", pair),
            _case(draw, "a new head, which no anchor names", headed, ["0.weight", "0.bias"]),
            _case(draw, "a network with a batch norm", network),
            _case(draw, "exactly at the anchor", copy.deepcopy(pair), moved=0.0),
            _zero_fisher(_case(draw, "weights on which the old task does not depend: Fisher 0", copy.deepcopy(pair))),
            _case(draw, "a single parameter", nn.Linear(b, 1, bias=False)),
            _shuffled(_case(draw, "a new first layer, and the names in another order", square, ["2.weight", "2.bias"])),
            _case(draw, "far from the anchor", copy.deepcopy(headed), moved=30.0),
        ]


def _partly_frozen(case: Case) -> Case:
    model = copy.deepcopy(case.args[0])
    next(model.parameters()).requires_grad_(False)
    return Case(case.words, (model, *case.args[1:]))


def _in_doubles(draw: Draw, words: str, model: nn.Module) -> Case:
    """A float64 network whose numbers are about 1,000 and have changed by some millionths."""
    model = model.double()
    for parameter in model.parameters():
        parameter.data = 1000 + draw.normal(*parameter.shape).double()
    anchor = {name: p.detach() + 1e-6 * draw.normal(*p.shape).double() for name, p in model.named_parameters()}
    fisher = {name: draw.uniform(0.1, 3.0, *p.shape).double() * 1e12 for name, p in model.named_parameters()}
    return Case(words, (model, anchor, fisher, draw.real(0.5, 5.0)))


def penalty_workload(seed: int) -> list[Case]:
    """The notebook's network with its strengths: small changes, and Fisher information of many sizes."""
    draw = Draw(seed, "workload of ewc_penalty")
    a, b = draw.whole(2, 5), draw.whole(3, 6)
    with torch.random.fork_rng(devices=[]):
        network, pair = digits_cnn(width=8), nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 3))
    parameters = dict(network.named_parameters())
    anchor = {name: p.detach() + ladder(draw, *p.shape, top=1e-2) for name, p in parameters.items()}
    fisher = {name: 10 ** draw.uniform(-9.0, -2.0, *p.shape) for name, p in parameters.items()}
    return [
        Case("the notebook's network", (network, anchor, fisher, draw.pick((100.0, 1e4)))),
        _partly_frozen(_case(draw, "a frozen parameter among them", pair)),
        Case("strength 0", (*_case(draw, "", copy.deepcopy(pair)).args[:3], 0.0)),
        _in_doubles(draw, "a network in float64", copy.deepcopy(pair)),
    ]


ewc_penalty = Exercise(
    name="ewc_penalty",
    unit="03_fine_tuning",
    points=2,
    difficulty=3,
    minutes=12,
    oracle=right_penalty,
    cases=penalty_cases,
    workload=penalty_workload,
    mistakes=PENALTY_MISTAKES,
    judge=precise(0.0001, 1e-06),
    legal={"float64 for float32": "as exact as the parameters or more"},
    through="finetuning.ewc_penalty:penalty_and_gradient",
    library="finetuning:ewc_penalty",
)
