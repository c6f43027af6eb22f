"""Cases and known mistakes of `ewc_penalty`: a penalty for changing the weights on which the old task depends.

Conventions that the notebook states in the same words: strength / 2 * the sum over all elements of fisher * (parameter - anchor)^2;
`anchor` and `fisher` have the same keys, names of `model.named_parameters()`; parameters that they do not name (a new head) get no penalty; the
result is a scalar tensor whose gradient reaches the parameters.

The parameters of the network carry gradients of the new task (`.grad`), as they do in training: the penalty does not use them.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw

Named = dict[str, Tensor]


@adapter
def penalty_and_gradient(
    function: Callable[..., Any], model: nn.Module, anchor: Named, fisher: Named, strength: float
) -> dict[str, Any]:
    """The adapter: the penalty of a copy of the network, and its gradient by every parameter."""
    twin = copy.deepcopy(model)
    for number, parameter in enumerate(twin.parameters(), start=2):
        parameter.grad = torch.linspace(-number, number + 1, parameter.numel()).reshape(parameter.shape)
    before = [parameter.grad.clone() for parameter in twin.parameters() if parameter.grad is not None]
    penalty = function(twin, copy.deepcopy(anchor), copy.deepcopy(fisher), strength)
    if not isinstance(penalty, Tensor) or not penalty.requires_grad or penalty.ndim:
        return {
            "penalty": penalty,
            ".grad": _kept(twin, before),
            "gradient": "none: the result does not depend on the parameters",
        }
    kept, parameters = _kept(twin, before), dict(twin.named_parameters())
    found = torch.autograd.grad(penalty, list(parameters.values()), allow_unused=True)
    gradient = {
        name: torch.zeros_like(parameter) if one is None else one
        for (name, parameter), one in zip(parameters.items(), found, strict=True)
    }
    return {"penalty": penalty, ".grad": kept, "gradient": gradient}


def _kept(model: nn.Module, before: list[Tensor]) -> str:
    """Were the gradients of the new task changed?"""
    now = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    if not any(bool(gradient.any()) for gradient in now):
        return "cleared"
    return "not changed" if len(now) == len(before) and all(map(torch.equal, now, before)) else "changed"


def _moved(model: nn.Module, anchor: Named) -> dict[str, Tensor]:
    """How far each named parameter is from its anchor."""
    parameters = dict(model.named_parameters())
    return {name: parameters[name] - place for name, place in anchor.items()}


def right_penalty(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    terms = [(fisher[name] * moved * moved).sum() for name, moved in _moved(model, anchor).items()]
    return strength / 2 * torch.stack(terms).sum()


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


def _sum_of(term: Callable[[Tensor, Tensor], Tensor], factor: Callable[[float], float] = lambda s: s / 2) -> Any:
    """strength / 2 times the sum of another term of (moved, fisher)."""

    def ewc_penalty(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
        terms = [term(moved, fisher[name]).sum() for name, moved in _moved(model, anchor).items()]
        return factor(strength) * torch.stack(terms).sum()

    return ewc_penalty


def _new_fisher(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    squares = {name: gradient.square() for name, gradient in gradients.items() if gradient is not None}
    return right_penalty(model, anchor, squares, strength)


def _no_anchor(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    return right_penalty(model, {name: torch.zeros_like(place) for name, place in anchor.items()}, fisher, strength)


def _heads_too(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    """Looks every parameter up, so a new head raises."""
    terms = [(fisher[name] * (parameter - anchor[name]).square()).sum() for name, parameter in model.named_parameters()]
    return strength / 2 * torch.stack(terms).sum()


def _last_only(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    """Overwrites the sum."""
    total = torch.zeros(())
    for name, moved in _moved(model, anchor).items():
        total = (fisher[name] * moved.square()).sum()
    return strength / 2 * total


def _mean(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    terms = [(fisher[name] * moved.square()).mean() for name, moved in _moved(model, anchor).items()]
    return strength / 2 * torch.stack(terms).sum()


def _weights_only(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    return right_penalty(model, {name: place for name, place in anchor.items() if name.endswith("weight")}, fisher, strength)


def _by_order(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    rows = zip(model.parameters(), anchor.values(), fisher.values(), strict=False)
    return strength / 2 * torch.stack([(weight * (parameter - place).square()).sum() for parameter, place, weight in rows]).sum()


def _fisher_by_order(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    rows = zip(_moved(model, anchor).values(), fisher.values(), strict=True)
    return strength / 2 * torch.stack([(weight * moved.square()).sum() for moved, weight in rows]).sum()


def _clears_gradients(model: nn.Module, *rest: Any) -> Tensor:
    model.zero_grad()
    return right_penalty(model, *rest)


def _calls_backward(model: nn.Module, *rest: Any) -> Tensor:
    penalty = right_penalty(model, *rest)
    penalty.backward(retain_graph=True)
    return penalty


PENALTY_MISTAKES = (
    Mistake(
        "square missing",
        "You do not square the difference, so positive and negative ones cancel; square it.",
        _sum_of(lambda moved, fisher: fisher * moved),
    ),
    Mistake(
        "absolute distance",
        "You take the absolute difference; square it, so that small changes cost almost nothing.",
        _sum_of(lambda moved, fisher: fisher * moved.abs()),
    ),
    Mistake(
        "half missing",
        "The half is missing: strength / 2, so that the gradient is strength * fisher * difference.",
        _sum_of(lambda moved, fisher: fisher * moved.square(), lambda strength: strength),
    ),
    Mistake(
        "strength missing",
        "Your function does not use `strength`; multiply the sum by strength / 2.",
        _sum_of(lambda moved, fisher: fisher * moved.square(), lambda strength: 0.5),
    ),
    Mistake(
        "Fisher missing",
        "All weights have the same penalty; multiply each squared difference by its entry of fisher.",
        _sum_of(lambda moved, fisher: moved.square()),
    ),
    Mistake(
        "Fisher squared",
        "You square fisher together with the difference; square only the difference.",
        _sum_of(lambda moved, fisher: (fisher * moved).square()),
    ),
    Mistake(
        "Fisher of the new task",
        "You weight with the gradients of the new task (p.grad); weight with `fisher`, which belongs to the old task.",
        _new_fisher,
    ),
    Mistake(
        "anchor missing",
        "Your penalty pulls the weights to 0 (plain weight decay); subtract `anchor` first.",
        _no_anchor,
    ),
    Mistake(
        "new parameters not left out",
        "You look up the anchor of every parameter; those that `anchor` does not name, as a new head, get no penalty.",
        _heads_too,
    ),
    Mistake(
        "last parameter only",
        "Only the last parameter counts: add to the sum, do not overwrite it.",
        _last_only,
    ),
    Mistake(
        "paired by order",
        "You pair parameters and anchors by their order; look them up by name: the anchor need not name the first parameter.",
        _by_order,
    ),
    Mistake(
        "fisher paired by order",
        "You pair anchor and fisher by their order; look both up by name, because their order may differ.",
        _fisher_by_order,
    ),
    Mistake(
        "gradients cleared",
        "You clear the gradients of the new task; leave them, as the training loop clears them; the penalty only returns a tensor.",
        _clears_gradients,
    ),
    Mistake(
        "backward inside",
        "You call backward() inside, so the penalty's gradient would be counted twice; only return the penalty.",
        _calls_backward,
    ),
    Mistake("mean", "You take the mean over the elements of a parameter; sum over all of them.", _mean),
    Mistake("weights only", "Biases are left out; every parameter that `anchor` names counts.", _weights_only),
    Mistake(
        "root of the sum",
        "You take the square root; return the sum of squares itself, whose gradient at the anchor is 0.",
        lambda model, anchor, fisher, strength: right_penalty(model, anchor, fisher, strength).sqrt(),
    ),
    Mistake(
        "no gradient",
        "No gradient reaches the parameters, so the penalty has no effect; do not use item, detach, .data or no_grad.",
        lambda model, anchor, fisher, strength: right_penalty(model, anchor, fisher, strength).detach(),
    ),
)


ewc_penalty = Exercise(
    name="ewc_penalty",
    unit="03_fine_tuning",
    points=2,
    difficulty=3,
    minutes=12,
    oracle=right_penalty,
    cases=penalty_cases,
    mistakes=PENALTY_MISTAKES,
    judge=close(0.0001, 1e-06),
    through="finetuning.ewc_penalty:penalty_and_gradient",
    library="finetuning:ewc_penalty",
)
