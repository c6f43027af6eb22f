"""The known mistakes of `ewc_penalty`, each with its message."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.ewc_penalty_oracle import Named, changes_of, right_penalty


def _sum_of(term: Callable[[Tensor, Tensor], Tensor], factor: Callable[[float], float] = lambda s: s / 2) -> Any:
    """strength / 2 times the sum of another term of (moved, fisher)."""

    def ewc_penalty(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
        terms = [term(moved, fisher[name]).sum() for name, moved in changes_of(model, anchor).items()]
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
    for name, moved in changes_of(model, anchor).items():
        total = (fisher[name] * moved.square()).sum()
    return strength / 2 * total


def _mean(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    terms = [(fisher[name] * moved.square()).mean() for name, moved in changes_of(model, anchor).items()]
    return strength / 2 * torch.stack(terms).sum()


def _weights_only(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    return right_penalty(model, {name: place for name, place in anchor.items() if name.endswith("weight")}, fisher, strength)


def _by_order(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    rows = zip(model.parameters(), anchor.values(), fisher.values(), strict=False)
    return strength / 2 * torch.stack([(weight * (parameter - place).square()).sum() for parameter, place, weight in rows]).sum()


def _fisher_by_order(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    rows = zip(changes_of(model, anchor).values(), fisher.values(), strict=True)
    return strength / 2 * torch.stack([(weight * moved.square()).sum() for moved, weight in rows]).sum()


def _clears_gradients(model: nn.Module, *rest: Any) -> Tensor:
    model.zero_grad()
    return right_penalty(model, *rest)


def _calls_backward(model: nn.Module, *rest: Any) -> Tensor:
    penalty = right_penalty(model, *rest)
    penalty.backward(retain_graph=True)
    return penalty


def _frozen_left_out(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Tensor:
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return right_penalty(model, {name: place for name, place in anchor.items() if name in trained}, fisher, strength)


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
    Mistake(
        "frozen left out",
        "You leave out parameters that are frozen now; every parameter that `anchor` names counts in the sum.",
        _frozen_left_out,
    ),
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
