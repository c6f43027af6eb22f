"""Gradients for the cases of unit 07, with an eye on those that are too close to zero."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.checks.engine.adapters import adapter

CLEAR = 3e-6  # a pixel's gradient is zero, or at least this share of its image's largest: its sign does not depend on rounding


@adapter
def in_training(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result for a model whose weights hold gradients already, as between `backward` and a step: they are the caller's."""
    model = kwargs["model"] if "model" in kwargs else args[0]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.25)
    return function(*args, **kwargs)


def loss_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of the summed cross entropy with respect to x, for a model that may be changed."""
    x = x.detach().clone().requires_grad_(True)
    return torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)[0]


def is_clear(gradient: Tensor) -> bool:
    """Is every gradient exactly zero or far enough from it?"""
    size = gradient.flatten(1).abs()
    return not ((size > 0) & (size < CLEAR * size.amax(1, keepdim=True))).any()


def until_clear(make: Callable[[], tuple], gradients: Callable[..., list[Tensor]]) -> tuple:
    """The first case that `make` draws whose gradients (on the whole way of an attack) all have a clear sign."""
    for _ in range(60):
        case = make()
        if all(is_clear(gradient) for gradient in gradients(*case)):
            return case
    raise RuntimeError("no case with clear gradients in 60 draws")
