"""Cases and known mistakes of `adamw_step`: one step of AdamW, in place, called twenty times (eight times in cases about special values).

Conventions that the notebook states in the same words: `param` and `state` are changed in place and nothing is returned; `grad` is
not changed; `state` is {} before the first step and belongs to this parameter: what is stored in it is free; first the decay,
param *= 1 - lr * weight_decay, then the step; both means are corrected by 1 - beta^t with t = 1 in the first step; eps is added to the
root of the corrected second mean.

Tolerance: 20 steps in float32. Each rounds the parameter (2^-24 of at most 10 here) and a step of at most 2 lr by some 2^-22: together below
1e-4 for all cases, while every known mistake changes an element by more than 1e-3.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

STEPS, FEW = 20, 8


State = dict[str, Any]


@adapter
def walk(
    function: Callable[..., Any],
    start: Tensor,
    grads: Tensor,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> dict[str, Any]:
    """The adapter: step two parameters in turn, the second with the gradients in reverse order; their values after each step."""
    params, states, kept = (_twin(start), _twin(start)), ({}, {}), []
    untouched = True
    for forwards, backwards in zip(grads, grads.flip(0), strict=True):
        for param, state, grad in zip(params, states, (forwards, backwards), strict=True):
            given = grad.clone()
            function(param, given, state, lr, betas, eps, weight_decay)
            untouched = untouched and torch.equal(given, grad)
        kept.append(torch.stack([param.detach().clone() for param in params]))
    return {"after each step": torch.stack(kept), "grad untouched": untouched}


def _twin(x: Tensor) -> Tensor:
    """The same values with the same strides."""
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x)


def _adamw(param: Tensor, grad: Tensor, state: State, mistake: str, lr: float, betas: Any, eps: float, decay: float) -> None:
    """One step in float64 sums; `mistake` changes one part of it."""
    g = grad.double() + decay * param.double() if mistake == "through the gradient" else grad.double()
    t = state["t"] = 1 if mistake == "always the first step" else state.get("t", 0) + 1
    b1, b2 = betas[::-1] if mistake == "betas swapped" else betas
    m = state["m"] = b1 * state.get("m", 0.0) + (1.0 if mistake == "not averaged" else 1 - b1) * g
    square = g.abs() if mistake == "not squared" else g.square()
    v = state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * square
    first = 1.0 if mistake in ("no correction", "first not corrected") else 1 - b1**t
    second = 1.0 if mistake in ("no correction", "second not corrected") else 1 - b2**t
    root = {
        "eps inside": (v / second + eps).sqrt(),
        "eps before the correction": (v.sqrt() + eps) / second**0.5,
        "no root": v / second + eps,
        "no eps": (v / second).sqrt(),
        "eps as a floor": (v / second).sqrt().clamp(min=eps),
    }.get(mistake, (v / second).sqrt() + eps)
    step = lr * (m / first) / root
    before = {"no decay": 1.0, "through the gradient": 1.0, "after the step": 1.0, "without lr": 1 - decay}.get(
        mistake, 1 - lr * decay
    )
    moved = param.double() * before + (step if mistake == "uphill" else -step)
    param.copy_(moved * (1 - lr * decay) if mistake == "after the step" else moved)


def _step(mistake: str = "") -> Callable[..., None]:
    def adamw_step(param: Tensor, grad: Tensor, state: State, lr: float, betas: Any, eps: float, weight_decay: float) -> None:
        _adamw(param, grad, state, mistake, lr, betas, eps, weight_decay)

    return adamw_step


right_step = _step()


def _returned(param: Tensor, grad: Tensor, state: State, *rest: Any) -> Tensor:
    """Works on a copy."""
    moved = param.clone()
    right_step(moved, grad, state, *rest)
    return moved


def _forgotten(param: Tensor, grad: Tensor, state: State, *rest: Any) -> None:
    """Stores nothing between the steps."""
    right_step(param, grad, {}, *rest)


def step_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "adamw_step")
    n = draw.whole(3, 6)
    usual = (0.9, 0.999)
    start, grads = draw.normal(n, 4), draw.normal(STEPS, n, 4)
    drift = draw.normal(n) + draw.normal(STEPS, n) * 0.3
    quiet = draw.normal(STEPS, 5) * (draw.uniform(0, 1, STEPS, 1) < 0.5)
    quiet[0] = quiet[-1] = 0.0
    tiny = draw.uniform(0.2, 2.0, FEW, n, 2) * 1e-4
    large = draw.normal(FEW, 2, 3) * 1e4
    return [
        Case("gradients as small as eps, with decay", (draw.normal(n, 2), tiny, 0.2, (0.7, 0.9), 3e-4, 0.5)),
        Case("the default settings, a large decay", (start, grads, 0.05, usual, 1e-8, draw.real(0.3, 0.6))),
        Case("without weight decay", (draw.normal(n) * 2, drift, 0.1, usual, 1e-8, 0.0)),
        Case("gradients as small as eps", (draw.normal(n, 2), tiny, 0.1, (0.8, 0.95), 1e-4, 0.0)),
        Case("gradients in the thousands", (draw.normal(2, 3), large, 0.02, usual, 1e-8, 0.1)),
        Case("gradients that are 0 in some steps", (draw.normal(5), quiet, 0.1, (0.5, 0.8), 1e-3, 0.2)),
        Case("a large learning rate and a large decay", (draw.normal(n) * 3, drift[:FEW].flip(0), 0.3, (0.9, 0.99), 1e-6, 0.7)),
        Case("a view that is not contiguous", (strided(start), grads[:FEW], 0.03, (0.6, 0.9), 1e-5, 0.2)),
        Case("a single element", (draw.normal(), draw.normal(FEW), 0.1, usual, 1e-8, 0.3)),
        Case("no elements", (torch.zeros(0), torch.zeros(FEW, 0), 0.1, usual, 1e-8, 0.3)),
    ]


STEP_MISTAKES = (
    Mistake(
        "no bias correction",
        "Both means start at 0 and are too small at first: divide m by 1 - beta1^t and v by 1 - beta2^t.",
        _step("no correction"),
    ),
    Mistake(
        "second mean not corrected",
        "You corrected the first mean only; v starts at 0 too: divide it by 1 - beta2^t before the root.",
        _step("second not corrected"),
    ),
    Mistake(
        "first mean not corrected",
        "You corrected the second mean only; m starts at 0 too: divide it by 1 - beta1^t.",
        _step("first not corrected"),
    ),
    Mistake(
        "eps inside the root",
        "You add eps inside the root; add it to the root, after taking it.",
        _step("eps inside"),
    ),
    Mistake(
        "eps before the correction",
        "You add eps before v is corrected; take the root of the corrected v first, then add eps.",
        _step("eps before the correction"),
    ),
    Mistake(
        "decay through the gradient",
        "You add the decay to the gradient, where it is divided by the root of v (Adam with L2); multiply the parameter itself.",
        _step("through the gradient"),
    ),
    Mistake(
        "decay after the step",
        "You apply the decay after the step, so the step is decayed too; apply the decay first.",
        _step("after the step"),
    ),
    Mistake(
        "decay without lr",
        "You multiply by 1 - weight_decay; the factor is 1 - lr * weight_decay.",
        _step("without lr"),
    ),
    Mistake("no decay", "The weight decay is missing: param *= 1 - lr * weight_decay.", _step("no decay")),
    Mistake(
        "always the first step",
        "You correct each step as if it were the first: count the steps in `state`.",
        _step("always the first step"),
    ),
    Mistake(
        "nothing kept",
        "Your means are lost after each step; store them in `state`, which is passed to the next step again.",
        _forgotten,
    ),
    Mistake(
        "betas swapped",
        "betas[0] belongs to the mean of the gradient, betas[1] to the mean of its square; you swapped them.",
        _step("betas swapped"),
    ),
    Mistake(
        "not squared",
        "Your second mean averages the magnitude of the gradient; average the squared gradient.",
        _step("not squared"),
    ),
    Mistake("eps as a floor", "You take the maximum of the root and eps; add eps to the root.", _step("eps as a floor")),
    Mistake("no root", "You divide by the second mean; divide by its square root.", _step("no root")),
    Mistake(
        "not averaged",
        "Your first mean adds the whole gradient; multiply the new gradient by 1 - beta1.",
        _step("not averaged"),
    ),
    Mistake("uphill", "You add the step, so the loss grows; subtract it.", _step("uphill")),
    Mistake(
        "not in place",
        "`param` is not changed: change it in place (copy_, sub_, addcdiv_); what you return is not used.",
        _returned,
    ),
    Mistake(
        "no eps",
        "eps is missing: where all gradients were 0 you divide 0 by 0; add eps to the root.",
        _step("no eps"),
    ),
)


adamw_step = Exercise(
    name="adamw_step",
    unit="03_fine_tuning",
    points=3,
    difficulty=3,
    minutes=16,
    oracle=right_step,
    cases=step_cases,
    mistakes=STEP_MISTAKES,
    judge=close(0.0001, 0.0001),
    through="finetuning.adamw_step:walk",
    library="finetuning:adamw_step",
)
