"""Cases and known mistakes of `overfit_one_batch`: how far can the loss of one batch fall?

Conventions that the notebook states in the same words:
- a copy of the model, in train mode; Adam with this lr on the parameters that learn; what is frozen stays frozen;
- `steps` times: the loss of the whole batch, with the given labels, then one step; the result is the smallest of these `steps` losses, a float;
- the model stays as it was.

The steps are few or small enough that float32 in any order of its sums stays within 5e-4 (measured: 1e-5).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, images, labels, linear

Loss = Callable[[Tensor, Tensor], Tensor]
TOO_FAST: dict[str, Any] = {"steps": 5, "lr": 0.6}


def _learning(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _losses(
    model: nn.Module,
    loss_of: Loss,
    x: Tensor,
    y: Tensor,
    steps: int,
    lr: float,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    train: bool = True,
    zero: bool = True,
    thaw: bool = False,
) -> list[float]:
    twin = copy.deepcopy(model).train(train)
    for p in twin.parameters():
        p.grad = None
    if thaw:
        twin.requires_grad_(True)
    rule, found = optimizer(_learning(twin), lr=lr), []
    for _ in range(steps):
        loss = loss_of(twin(x), y)
        if zero:
            rule.zero_grad()
        loss.backward()
        rule.step()
        found.append(loss.item())
    return found


def _with(pick: Callable[[list[float]], float] = min, more: int = 0, **changed: Any) -> Callable[..., float]:
    """The right answer with another choice among the losses, other numbers of steps, or another training."""

    def answer(model: nn.Module, loss_of: Loss, x: Tensor, y: Tensor, steps: int = 100, lr: float = 1e-2) -> float:
        return pick(_losses(model, loss_of, x, y, steps + more, **{"lr": lr, **changed}))

    return answer


right_overfit = _with()


def _frozen(model: nn.Sequential, layer: int) -> nn.Sequential:
    model[layer].requires_grad_(False)
    return model


def _overshooting(draw: Draw, n: int) -> tuple[nn.Module, str, Tensor, Tensor]:
    """The first case drawn whose smallest loss is neither the first nor the last, with the options of `TOO_FAST`."""
    for _ in range(60):
        case = deep(draw, 12, 6, 4), "cross entropy", images(draw, n, 1, 3, 4), labels(draw, n, 4)
        found = _losses(case[0], nn.functional.cross_entropy, *case[2:], **TOO_FAST)
        if min(found) < 0.9 * min(found[0], found[-1]):
            return case
    raise RuntimeError("no case that overshoots in 60 draws")


def overfit_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "overfit one batch")
    n = draw.whole(6, 9)
    batch = lambda: (images(draw, n, 1, 3, 4), labels(draw, n, 4))  # noqa: E731
    x, y = batch()
    large = linear(draw, 12, 4, 2e-5), "cross entropy", 1e5 * x, y
    return [
        Case("a few steps", (deep(draw, 12, 6, 4), "cross entropy", *batch()), {"steps": 6, "lr": 0.02}),
        Case("a large rate: the last loss is not the smallest", _overshooting(draw, n), TOO_FAST),
        Case("softmax taken twice", (deep(draw, 12, 6, 4), "softmax twice", *batch()), {"steps": 7, "lr": 0.05}),
        Case("a frozen layer", (_frozen(deep(draw, 12, 6, 4), 1), "squared error", *batch()), {"steps": 6, "lr": 0.05}),
        Case(
            "batch norm, given in eval mode",
            (convolutional(draw, 1, 6, 4, 3), "cross entropy", images(draw, 8, 1, 6, 4), labels(draw, 8, 3)),
            {"steps": 4, "lr": 0.02},
        ),
        Case("images that are not contiguous", (deep(draw, 12, 6, 4), "squared error", strided(x), y), {"steps": 3, "lr": 0.2}),
        Case("a millionth of the cross entropy", (deep(draw, 12, 6, 4), "a millionth", *batch()), {"steps": 5, "lr": 0.1}),
        Case("large inputs", large, {"steps": 4, "lr": 1e-6}),
        Case("one step: the first loss", (deep(draw, 12, 6, 4), "cross entropy", *batch()), {"steps": 1, "lr": 0.1}),
        Case("two steps, another rate", (deep(draw, 12, 6, 4), "cross entropy", *batch()), {"steps": 2, "lr": 0.3}),
    ]


def overfit_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "overfit one batch at work")
    return [
        Case(
            "24 images of 28 x 28 pixels, 5 steps",
            (convolutional(draw, 1, 28, 28, 10), "cross entropy", images(draw, 24, 1, 28, 28), labels(draw, 24, 10)),
            {"steps": 5, "lr": 1e-3},
        ),
        Case("the usual steps and rate", (deep(draw, 12, 8, 4), "softmax twice", images(draw, 9, 1, 3, 4), labels(draw, 9, 4))),
    ]


def _sgd(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr)


def _decayed(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr)


def _one_image(model: nn.Module, loss_of: Loss, x: Tensor, y: Tensor, steps: int = 100, lr: float = 1e-2) -> float:
    return right_overfit(model, loss_of, x[:1].expand_as(x[:1]), y[:1], steps, lr) if len(x) > 1 else 0.0


def _turned(model: nn.Module, loss_of: Loss, x: Tensor, y: Tensor, steps: int = 100, lr: float = 1e-2) -> float:
    return right_overfit(model, loss_of, x, y.roll(1), steps, lr)


def _own_loss(model: nn.Module, loss_of: Loss, x: Tensor, y: Tensor, steps: int = 100, lr: float = 1e-2) -> float:
    return right_overfit(model, nn.functional.cross_entropy, x, y, steps, lr)


OVERFIT_MISTAKES = (
    Mistake("eval mode", "Your copy is in eval mode; a network learns in train mode.", _with(train=False)),
    Mistake("last loss", "You return the last loss; return the smallest.", _with(lambda found: found[-1])),
    Mistake("first loss", "You return the first loss; return the smallest.", _with(lambda found: found[0])),
    Mistake("mean", "You return the mean of the losses; return the smallest.", _with(lambda found: sum(found) / len(found))),
    Mistake(
        "gradients pile up",
        "The gradients of all steps pile up; call optimizer.zero_grad() before backward().",
        _with(zero=False),
    ),
    Mistake("frozen ones learn", "Frozen parameters learn in your copy; leave requires_grad as it is.", _with(thaw=True)),
    Mistake("SGD", "You take steps of SGD; take those of torch.optim.Adam.", _with(optimizer=_sgd)),
    Mistake("AdamW", "AdamW shrinks the weights as well; take torch.optim.Adam.", _with(optimizer=_decayed)),
    Mistake("own rate", "Your learning rate is your own; take the given lr.", _with(lr=1e-2)),
    Mistake(
        "one step more",
        "You compute one loss too many, after the last step; `steps` losses, each before its step.",
        _with(more=1),
    ),
    Mistake("own loss", "You use a loss of your own; call loss_of(logits, y), it is what is examined.", _own_loss),
    Mistake("labels moved", "The labels no longer belong to their images; use x and y in the order given.", _turned),
    Mistake("one image", "You learn one image; learn the whole batch.", _one_image),
)


overfit_one_batch = Exercise(
    name="overfit_one_batch",
    unit="11_clinic",
    points=3,
    difficulty=2,
    minutes=9,
    oracle=right_overfit,
    cases=overfit_cases,
    workload=overfit_workload,
    mistakes=OVERFIT_MISTAKES,
    judge=close(5e-4, 1e-11),
    through="clinic.at_work:learned",
    library="clinic:overfit_one_batch",
)
