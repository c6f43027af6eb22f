"""In the learner's process: losses and work for the instruments, which cannot be sent, and what a learner says about a patient."""

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.own_work import closed
from posttrain_lab.clinic import PATIENTS, Answer, trial_of

Loss = Callable[[Tensor, Tensor], Tensor]


def _twice(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.softmax(1), labels)


def _squared(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits - F.one_hot(labels, logits.shape[1])).square().mean()


def _small(logits: Tensor, labels: Tensor) -> Tensor:
    return 1e-6 * F.cross_entropy(logits, labels)


LOSSES: dict[str, Loss] = {
    "cross entropy": F.cross_entropy,
    "softmax twice": _twice,
    "squared error": _squared,
    "a millionth": _small,
}


def _loss(kind: str, model: Any, x: Tensor, y: Tensor) -> Tensor:
    """One of the losses; of all layers but the last ("hidden"); or one that carries no gradient ("detached")."""
    if kind == "hidden":
        return model[:-1](x).square().mean()
    return F.cross_entropy(model(x).detach(), y) if kind == "detached" else LOSSES[kind](model(x), y)


@adapter
def reported(function: Callable[..., Any], model: nn.Module, x: Tensor, y: Tensor, kind: str, earlier: bool) -> tuple[Any, bool]:
    """The report of a loss, and whether its backward() works afterwards. `earlier`: another loss has left its gradients."""
    model = copy.deepcopy(model)
    if earlier:
        F.cross_entropy(model(3 * x), y).backward()
    loss = _loss(kind, model, x, y)
    found = function(model, loss)
    if loss.requires_grad:
        try:
            loss.backward()
        except RuntimeError:
            return found, False
    return found, True


@adapter
def learned(function: Callable[..., Any], model: nn.Module, kind: str, x: Tensor, y: Tensor, **options: Any) -> Any:
    """The smallest loss, for a loss that is known by its name. The weights hold gradients already."""
    model = copy.deepcopy(model)
    F.cross_entropy(model(x), y).backward()
    return function(model, LOSSES[kind], x, y, **options)


class Stopped(Exception):
    """Ends a piece of work."""


def _until_it_stops(model: nn.Module, x: Tensor) -> None:
    model(x)
    raise Stopped


WORK: dict[str, Callable[[Any, Tensor], object]] = {
    "once": lambda model, x: model(x),
    "in parts": lambda model, x: [model(part) for part in x.split(3)],
    "all, then two": lambda model, x: (model(x), model(x[:2])),
    "two, then all": lambda model, x: (model(x[:2]), model(x)),
    "nothing": lambda model, x: None,
    "one layer of it": lambda model, x: model[0](x),
    "by name": lambda model, x: model(input=x),
    "inside another": lambda model, x: nn.Sequential(nn.Identity(), model)(x),
    "two networks": lambda model, x: (nn.Flatten()(x), model(x)),
}


@adapter
def counted(function: Callable[..., Any], model: nn.Module, x: Tensor, kind: str) -> Any:
    """The count for work that is known by its name; of work that raises: did the error come through, and do hooks remain?"""
    if kind != "raises":
        return function(model, lambda: WORK[kind](model, x))
    try:
        function(model, lambda: _until_it_stops(model, x))
    except Stopped:
        return "raised", sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in model.modules())
    return "no error", 0


@adapter
def told(function: Callable[[], Answer]) -> tuple[dict[str, float], str | float | None, bool]:
    """What an answer says about a patient: probabilities by name, evidence, and whether there is a repair."""
    answer = function()
    if not isinstance(answer, Answer):
        raise TypeError(f"an Answer is wanted, this is a {type(answer).__name__}")
    evidence = answer.evidence
    return (
        {str(name): float(p) for name, p in answer.name.items()},
        evidence if isinstance(evidence, str | None) else float(evidence),
        answer.repair is not None,
    )


@adapter
def repaired(function: Callable[[], Answer], patient: str, seed: int) -> tuple[float, float, float]:
    """The run of a patient with the learner's own part; the clinic's part is closed while it runs."""
    one, repair = PATIENTS[patient], function().repair
    assert repair is not None
    with closed(f"{one.healthy.__module__.removeprefix('posttrain_lab.')}:{one.healthy.__name__}"):
        run = one.run(seed, repair)
    return trial_of(one, run)
