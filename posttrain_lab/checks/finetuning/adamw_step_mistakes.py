"""The known mistakes of `adamw_step`, each with its message."""

from typing import Any

from torch import Tensor

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.adamw_step_oracle import State, right_step, step


def _returned(param: Tensor, grad: Tensor, state: State, *rest: Any) -> Tensor:
    """Works on a copy."""
    moved = param.clone()
    right_step(moved, grad, state, *rest)
    return moved


def _forgotten(param: Tensor, grad: Tensor, state: State, *rest: Any) -> None:
    """Stores nothing between the steps."""
    right_step(param, grad, {}, *rest)


STEP_MISTAKES = (
    Mistake(
        "no bias correction",
        "Both means start at 0 and are too small at first: divide m by 1 - beta1^t and v by 1 - beta2^t.",
        step("no correction"),
    ),
    Mistake(
        "second mean not corrected",
        "You corrected the first mean only; v starts at 0 too: divide it by 1 - beta2^t before the root.",
        step("second not corrected"),
    ),
    Mistake(
        "first mean not corrected",
        "You corrected the second mean only; m starts at 0 too: divide it by 1 - beta1^t.",
        step("first not corrected"),
    ),
    Mistake(
        "eps inside the root",
        "You add eps inside the root; add it to the root, after taking it.",
        step("eps inside"),
    ),
    Mistake(
        "eps before the correction",
        "You add eps before v is corrected; take the root of the corrected v first, then add eps.",
        step("eps before the correction"),
    ),
    Mistake(
        "decay through the gradient",
        "You add the decay to the gradient, where it is divided by the root of v (Adam with L2); multiply the parameter itself.",
        step("through the gradient"),
    ),
    Mistake(
        "decay after the step",
        "You apply the decay after the step, so the step is decayed too; apply the decay first.",
        step("after the step"),
    ),
    Mistake(
        "decay without lr",
        "You multiply by 1 - weight_decay; the factor is 1 - lr * weight_decay.",
        step("without lr"),
    ),
    Mistake("no decay", "The weight decay is missing: param *= 1 - lr * weight_decay.", step("no decay")),
    Mistake(
        "always the first step",
        "You correct each step as if it were the first: count the steps in `state`.",
        step("always the first step"),
    ),
    Mistake(
        "nothing kept",
        "Your means are lost after each step; store them in `state`, which is passed to the next step again.",
        _forgotten,
    ),
    Mistake(
        "betas swapped",
        "betas[0] belongs to the mean of the gradient, betas[1] to the mean of its square; you swapped them.",
        step("betas swapped"),
    ),
    Mistake(
        "not squared",
        "Your second mean averages the magnitude of the gradient; average the squared gradient.",
        step("not squared"),
    ),
    Mistake("eps as a floor", "You take the maximum of the root and eps; add eps to the root.", step("eps as a floor")),
    Mistake("no root", "You divide by the second mean; divide by its square root.", step("no root")),
    Mistake(
        "not averaged",
        "Your first mean adds the whole gradient; multiply the new gradient by 1 - beta1.",
        step("not averaged"),
    ),
    Mistake("uphill", "You add the step, so the loss grows; subtract it.", step("uphill")),
    Mistake(
        "not in place",
        "`param` is not changed: change it in place (copy_, sub_, addcdiv_); what you return is not used.",
        _returned,
    ),
    Mistake(
        "no eps",
        "eps is missing: where all gradients were 0 you divide 0 by 0; add eps to the root.",
        step("no eps"),
    ),
)
