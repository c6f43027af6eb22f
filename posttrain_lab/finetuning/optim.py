"""Optimizers written out, so that a reader can follow them step by step. Left out: AMSGrad, sparse gradients, fused kernels."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

State = dict[str, Any]


def _check(caller: str, param: Tensor, grad: Tensor, lr: float) -> None:
    if param.shape != grad.shape:
        raise ValueError(f"{caller} wants a gradient for each weight, got {list(param.shape)} and {list(grad.shape)}.")
    if not (math.isfinite(lr) and lr >= 0):
        raise ValueError(f"{caller} wants a learning rate of at least 0, got {lr}.")


@torch.no_grad()
def sgd_step(param: Tensor, grad: Tensor, state: State, lr: float, momentum: float = 0.0) -> None:
    """One step of gradient descent. Changes `param` and, with momentum, `state` in place.

    u <- momentum * u + grad  (u = grad in the first step);   param <- param - lr * u

    state starts as {} and stores the velocity "u". Raises ValueError for shapes that differ or a negative rate.
    Source: Polyak 1964, in the form of torch.optim.SGD.

    >>> param, state = torch.tensor([1.0]), {}
    >>> for _ in range(2):
    ...     sgd_step(param, torch.tensor([1.0]), state, lr=0.1, momentum=0.5)
    >>> param
    tensor([0.7500])
    """
    _check("sgd_step", param, grad, lr)
    if momentum:
        state["u"] = grad.clone() if "u" not in state else state["u"].mul_(momentum).add_(grad)
        grad = state["u"]
    param.sub_(lr * grad)


@torch.no_grad()
def adamw_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    state: State,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """One step of AdamW. Changes `param` and `state` in place.

    t <- t + 1                      m <- b1 m + (1 - b1) grad       v <- b2 v + (1 - b2) grad^2
    param <- (1 - lr weight_decay) param - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    state starts as {} and stores "step" (an int), "m" and "v" (like param). The decay acts on the weight itself, not through
    the gradient; dividing by 1 - b^t corrects the bias of the start at 0; eps is added outside the root.
    Raises ValueError for shapes that differ, betas outside [0, 1), or a negative rate. Source: Loshchilov and Hutter 2019.

    >>> param, state = torch.tensor([1.0, -2.0]), {}
    >>> adamw_step(param, torch.tensor([10.0, 0.001]), state, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    >>> param
    tensor([ 0.9000, -2.1000])
    """
    _check("adamw_step", param, grad, lr)
    b1, b2 = betas
    if not (0 <= b1 < 1 and 0 <= b2 < 1):
        raise ValueError(f"adamw_step wants betas in [0, 1), got {betas}.")
    if not state:
        state.update(step=0, m=torch.zeros_like(param), v=torch.zeros_like(param))
    state["step"] += 1
    m, v, t = state["m"], state["v"], state["step"]
    m.mul_(b1).add_(grad, alpha=1 - b1)
    v.mul_(b2).addcmul_(grad, grad, value=1 - b2)
    param.mul_(1 - lr * weight_decay)
    param.addcdiv_(m, (v / (1 - b2**t)).sqrt_().add_(eps), value=-lr / (1 - b1**t))


class AdamW(torch.optim.Optimizer):
    """`adamw_step` for all parameters of a model: replaces torch.optim.AdamW, groups and schedules included.

    `step_function` computes the step, with the arguments of `adamw_step`: another implementation can be given.
    Parameters without a gradient are not changed.

    >>> layer = torch.nn.Linear(2, 1)
    >>> optimizer = AdamW(layer.parameters(), lr=0.01)
    >>> layer(torch.ones(1, 2)).sum().backward(); optimizer.step()
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, weight_decay: float = 0.01, step_function: Callable[..., None] = adamw_step
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": weight_decay})
        self.step_function = step_function

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for each parameter that has a gradient."""
        if closure is not None:
            raise ValueError("AdamW.step takes no closure: call backward before it.")
        for group in self.param_groups:
            settings = {key: group[key] for key in ("lr", "betas", "eps", "weight_decay")}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.step_function(parameter.data, parameter.grad, self.state[parameter], **settings)
