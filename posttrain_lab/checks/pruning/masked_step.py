"""Cases and known mistakes of `masked_step`: an optimizer's step that leaves pruned weights at 0.

Conventions that the notebook states in the same words: `masks` maps a parameter to a bool tensor, True where a weight is kept;
parameters without a mask change freely; the optimizer takes one ordinary step, and only then are pruned weights set to exactly 0, in
place; all others are as the step left them. What happens to gradients and to the optimizer's state of pruned weights is free.

An optimizer cannot be sent: `stepped` builds one in the student's process, takes two ordinary steps (so that the momentum is not 0),
then calls the function for each further step, and returns all weights after each. The pruned weights are not 0 at first, so an answer
that masks the gradient only, or masks before the step, fails. 1e-6: a few float32 operations in another order.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided, thinned

Step = Callable[[torch.optim.Optimizer, dict[nn.Parameter, Tensor]], Any]


FREE_STEPS, STEPS, MANY = 2, 2, 21  # without the function, and calls of it


OPTIMIZERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.5}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
)


@adapter
def stepped(
    function: Step, weights: list[Tensor], masks: list[Tensor | None], gradients: list[Tensor], kind: str, options: dict[str, Any]
) -> list[Tensor | list[Tensor]]:
    """Each parameter after each step: two ordinary steps, then one call of the function for each further gradient [steps, ...].

    The last parameter is in a group of its own with half the learning rate.
    """
    parameters = [nn.Parameter(weight.clone()) for weight in weights]
    groups = [{"params": parameters[:-1]}, {"params": parameters[-1:], "lr": options["lr"] / 2}]
    optimizer = getattr(torch.optim, kind)(groups, **options)
    chosen = {parameter: mask for parameter, mask in zip(parameters, masks, strict=True) if mask is not None}
    history: list[list[Tensor]] = [[] for _ in parameters]
    for number in range(len(gradients[0])):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient[number].clone()
        optimizer.step() if number < FREE_STEPS else function(optimizer, chosen)
        for kept, parameter in zip(history, parameters, strict=True):
            kept.append(parameter.detach().clone())
    return [torch.stack(kept) if len({(one.shape, one.dtype) for one in kept}) == 1 else kept for kept in history]


@torch.no_grad()
def right_step(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    for parameter, mask in masks.items():
        parameter[~mask] = 0.0


def step_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "masked_step")
    cases = []
    for number, (kind, options) in enumerate(OPTIMIZERS):
        a, b = draw.whole(3, 5), draw.whole(4, 6)
        shapes = [(a, b), (a,), (b, 2, 2)] if number else [(a, b), (b, a)]
        weights = [draw.normal(*shape) for shape in shapes]
        masks: list[Any] = [draw.uniform(0, 1, *shape) < 0.6 for shape in shapes]
        for mask in masks:
            mask.view(-1)[0], mask.view(-1)[-1] = False, True
        if number:
            masks[1 if number < 4 else 2] = None
        if number == 2:
            masks[0], masks[2] = torch.ones(a, b, dtype=torch.bool), torch.zeros(b, 2, 2, dtype=torch.bool)
        if number == 3:
            masks[0] = strided(masks[0])
        gradients = [draw.normal(FREE_STEPS + STEPS, *shape) for shape in shapes]
        options = {key: value * draw.real(0.7, 1.0) if key == "lr" else value for key, value in options.items()}
        words = f"{kind} with {', '.join(key for key in options if key != 'lr') or 'a plain step'}" + (
            "" if not number else ", a bias without a mask" if number < 4 else ", a masked bias, a kernel without a mask"
        )
        cases.append(Case(words, (weights, masks, gradients, kind, options)))
    return cases


def step_workload(seed: int) -> list[Case]:
    """The optimizer that the notebook uses, with layers of another size and kind; masks of a single weight, and many plain steps."""
    draw = Draw(seed, "step workload")
    shapes = [(24, 130), (48, 12, 3, 3), (24,)]
    weights = [draw.normal(*shape, std=0.2) for shape in shapes]
    weights[1] = weights[1].to(memory_format=torch.channels_last)
    masks: list[Any] = [draw.uniform(0, 1, *shape) < 0.1 for shape in shapes[:2]]
    masks[1] = masks[1].to(memory_format=torch.channels_last)
    gradients = [thinned(draw, draw.normal(FREE_STEPS + STEPS, *shape), 0.9) for shape in shapes]
    few = [(1,), (2, 1)]
    small = [torch.tensor([False]), torch.tensor([[True], [False]])]
    steps = [draw.normal(FREE_STEPS + MANY, *shape).double() for shape in few]
    return [
        Case("large layers, channels last", (weights, [*masks, None], gradients, "Adam", {"lr": 3e-3})),
        Case("masks of one or two weights, float64", ([draw.normal(*s).double() for s in few], small, steps, "SGD", {"lr": 0.2})),
    ]


def _masked(masks: dict[nn.Parameter, Tensor], of_gradient: bool = False, keep: bool = True) -> None:
    for parameter, mask in masks.items():
        tensor = parameter.grad if of_gradient else parameter.data
        if tensor is not None:
            tensor.masked_fill_(~mask if keep else mask, 0.0)


def _before(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    _masked(masks)
    optimizer.step()


def _gradient_only(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    _masked(masks, of_gradient=True)
    optimizer.step()


def _gradient_and_before(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    _masked(masks, of_gradient=True)
    _before(optimizer, masks)


def _no_step(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    _masked(masks)


def _twice(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    right_step(optimizer, masks)


def _inverted(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    _masked(masks, keep=False)


def _first_group(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    _masked({p: masks[p] for p in optimizer.param_groups[0]["params"] if p in masks})


def _not_biases(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    _masked({parameter: mask for parameter, mask in masks.items() if mask.ndim > 1})


def _every_parameter(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.data.mul_(masks[parameter])


def _in_place_with_gradient(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.step()
    for parameter, mask in masks.items():
        parameter *= mask


def _frozen(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    before = {parameter: parameter.detach().clone() for parameter in masks}
    optimizer.step()
    for parameter, mask in masks.items():
        parameter.data = torch.where(mask, parameter.data, before[parameter])


def _clears_state(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Tensor]) -> None:
    optimizer.state.clear()
    right_step(optimizer, masks)


STEP_MISTAKES = (
    Mistake(
        "mask before the step",
        "You mask before the step; momentum and the gradient then change the pruned weights again: mask after it.",
        _before,
    ),
    Mistake(
        "gradient only",
        "You mask the gradient only; momentum contains older gradients, and old weights remain: set the weights themselves to 0.",
        _gradient_only,
    ),
    Mistake(
        "gradient and weights, before the step",
        "Weights and gradients masked before the step are not enough: momentum still changes pruned weights; mask after it.",
        _gradient_and_before,
    ),
    Mistake(
        "no step",
        "The optimizer takes no step, or none with gradients; call optimizer.step() first, and not zero_grad().",
        _no_step,
    ),
    Mistake(
        "not masked",
        "The weights are not masked: change the parameter itself, in place; a new tensor in a variable of yours changes nothing.",
        lambda optimizer, masks: optimizer.step(),
    ),
    Mistake("two steps", "You take two steps; call optimizer.step() once.", _twice),
    Mistake("mask inverted", "You set the kept weights to 0; a mask is True where a weight is kept.", _inverted),
    Mistake(
        "first group only",
        "You mask the first parameter group only; an optimizer can have several: loop over masks.items().",
        _first_group,
    ),
    Mistake(
        "biases never masked",
        "You leave biases out; every parameter with a mask is masked, a bias too: loop over masks.items().",
        _not_biases,
    ),
    Mistake(
        "a mask for every parameter",
        "You look for a mask of every parameter; some have none (a bias): loop over masks.items().",
        _every_parameter,
    ),
    Mistake(
        "in place with gradient",
        "torch refuses to change a parameter in place while it records gradients; use torch.no_grad() or parameter.data.",
        _in_place_with_gradient,
    ),
    Mistake(
        "frozen, not 0",
        "You put the old value back where a weight is pruned; it must be exactly 0.",
        _frozen,
    ),
    Mistake(
        "momentum lost",
        "You clear the optimizer's state, so the kept weights lose their momentum; do not change the state.",
        _clears_state,
    ),
)


masked_step = Exercise(
    name="masked_step",
    unit="01_pruning",
    points=2,
    difficulty=2,
    minutes=10,
    oracle=right_step,
    cases=step_cases,
    mistakes=STEP_MISTAKES,
    judge=close(1e-05, 1e-06),
    workload=step_workload,
    free={"the gradient (.grad)": "What happens to gradients, and to the optimizer's state of *pruned* weights, is free."},
    through="pruning.masked_step:stepped",
    library="pruning:masked_step",
)
