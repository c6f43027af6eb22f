"""Cases and known mistakes of `adamw_step`: one step of AdamW, in place, called 4 to 100 times.

Conventions that the notebook states in the same words: `param` and `state` are changed in place and nothing is returned; `grad` is
not changed; `state` is {} before the first step and belongs to this parameter: what is stored in it is free; first the decay,
param *= 1 - lr * weight_decay, then the step; both means are corrected by 1 - beta^t with t = 1 in the first step; eps is added to the
root of the corrected second mean; betas and eps may be 0; a parameter in float64 stays in float64.

Tolerance: up to 100 steps in float32. Each rounds the parameter (2^-24 of at most 10 here) and a step of at most 2 lr by some 2^-22:
together below 1e-4 for all cases, while every known mistake changes an element by more than 1e-3. In float64: 1e-9 (`precise`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided
from posttrain_lab.checks.finetuning.adamw_step_mistakes import STEP_MISTAKES
from posttrain_lab.checks.finetuning.adamw_step_oracle import right_step
from posttrain_lab.checks.finetuning.precise import precise

STEPS, FEW, MANY = 12, 6, 60


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


def step_workload(seed: int) -> list[Case]:
    """As many steps as the notebook makes with one parameter, a weight of its network, large gradients, settings of 0, float64."""
    draw = Draw(seed, "workload of adamw_step")
    usual = (0.9, 0.999)
    rare = draw.normal(MANY, 3) * torch.linspace(3.0, 0.1, MANY)[:, None]
    weight, grads = ladder(draw, 32, 145, top=0.5), torch.stack([ladder(draw, 32, 145, top=1e-2) for _ in range(FEW)])
    fine = 1000 + draw.normal(4, 3).double()
    return [
        Case("many steps", (draw.normal(3), rare, 0.05, usual, 1e-8, 0.1)),
        Case("a weight of the notebook's size", (weight, grads, 2e-3, usual, 1e-8, 0.01)),
        Case("gradients in the millions", (draw.normal(2, 3), draw.normal(FEW, 2, 3) * 1e7, 0.02, usual, 1e-8, 0.1)),
        Case("betas[0] = 0 and eps = 0", (draw.normal(4), draw.uniform(0.5, 2.0, FEW, 4), 0.1, (0.0, 0.5), 0.0, 0.2)),
        Case("in float64", (fine, draw.normal(FEW, 4, 3).double() * 1e-5, 1e-5, usual, 1e-8, 1e-3)),
    ]


adamw_step = Exercise(
    name="adamw_step",
    unit="03_fine_tuning",
    points=3,
    difficulty=3,
    minutes=16,
    oracle=right_step,
    cases=step_cases,
    workload=step_workload,
    mistakes=STEP_MISTAKES,
    judge=precise(0.0001, 0.0001),
    free={
        "argument 3": "`state` is {} before the first step. You choose what to store in it.",
        "the strides of argument 1": "`param` is changed in place; a new `param.data` counts too.",
    },
    legal={
        "dict in another order": "You choose what to store in it",
        "key added to a dict": "You choose what to store in it",
    },
    through="finetuning.adamw_step:walk",
    library="finetuning:adamw_step",
)
