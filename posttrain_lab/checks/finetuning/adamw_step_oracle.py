"""The right answer to `adamw_step`, with all steps that the known mistakes change."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

State = dict[str, Any]


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


def step(mistake: str = "") -> Callable[..., None]:
    def adamw_step(param: Tensor, grad: Tensor, state: State, lr: float, betas: Any, eps: float, weight_decay: float) -> None:
        _adamw(param, grad, state, mistake, lr, betas, eps, weight_decay)

    return adamw_step


right_step = step()
