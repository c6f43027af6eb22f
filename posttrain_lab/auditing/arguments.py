"""What the functions of this folder accept, and how they look at a model without leaving a trace. Checks raise in their caller's name."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.metrics import check_model, evaluating


def check_images(name: str, x: Tensor) -> None:
    """Raise unless x is [n, ...] of floats in [0, 1], n >= 1: attacks act on pixels, before any normalization."""
    check_inputs(name, "x", x)
    low, high = x.detach().aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{name} wants images with pixels in [0, 1], got {low:.4g}..{high:.4g}; give the pixels, and put a normalization into "
            "the model as its first layer."
        )


def check_inputs(name: str, argument: str, x: Tensor) -> None:
    """Raise unless x is [n, ...] of finite floats, n >= 1."""
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} wants {argument} to be a floating-point Tensor, got {got}; do images.float().")
    if x.ndim < 2 or x.numel() == 0:
        raise ValueError(f"{name} wants {argument} [n, ...] with n >= 1, got shape {list(x.shape)}; give a batch, image[None].")
    if not torch.isfinite(x).all():
        raise ValueError(f"{name} wants {argument} that are finite, got NaN or infinity; clean them first.")


def check_targets(name: str, targets: Tensor, n: int, classes: int) -> None:
    """Raise unless targets are [n] class numbers in 0..classes-1."""
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        got = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise TypeError(f"{name} wants class numbers, a Tensor of whole numbers, got {got}; do torch.tensor([...]).")
    if targets.shape != (n,):
        raise ValueError(f"{name} wants {n} class numbers, one for each image, got shape {list(targets.shape)}.")
    if n and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise ValueError(
            f"{name} wants class numbers in 0..{classes - 1}, one for each output of the model, got {int(targets.min())}.."
            f"{int(targets.max())}; check that the labels belong to this model."
        )


def check_radius(name: str, argument: str, value: float) -> None:
    """Raise unless `value` is a finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise ValueError(
            f"{name} wants {argument} to be a finite number >= 0, got {value!r}; for pixels in [0, 1], 0.1 is large."
        )


@contextmanager
def undisturbed(name: str, model: nn.Module) -> Iterator[nn.Module]:
    """Inside the block the model is in eval mode and asks for no gradients of its own; afterwards it is as it was before.

    Gradients with respect to the input are not affected, and no `.grad` is written.
    """
    check_model(name, model)
    asking = [p for p in model.parameters() if p.requires_grad]
    with evaluating(model), torch.enable_grad():
        for parameter in asking:
            parameter.requires_grad_(False)
        try:
            yield model
        finally:
            for parameter in asking:
                parameter.requires_grad_(True)


def gradient(name: str, output: Tensor, x: Tensor) -> Tensor:
    """The gradient of the sum of `output` with respect to x. Raises ValueError when there is none, or it is not a number."""
    if not output.requires_grad:
        raise ValueError(
            f"{name} wants a model that passes gradients, got one that passes none (rounding to codes stops them); "
            "use straight_through(model), or an attack without gradients."
        )
    (found,) = torch.autograd.grad(output.sum(), x)
    if not torch.isfinite(found).all():
        raise ValueError(
            f"{name} wants finite gradients, got NaN or infinity; look for the layer that makes them (log 0, 0 / 0)."
        )
    return found


def loss_gradient(name: str, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of each image's cross entropy with respect to its pixels, like x.

    The losses are summed, not averaged: with the mean, the gradient of an image would depend on the size of its batch.
    """
    x = x.detach().clone().requires_grad_(True)
    logits = model(x)
    check_targets(name, y, len(x), logits.shape[1])
    return gradient(name, F.cross_entropy(logits, y, reduction="sum"), x)


def chosen_logits(name: str, logits: Tensor, target: Tensor) -> Tensor:
    """The logit of each image's own target, [n]."""
    check_targets(name, target, len(logits), logits.shape[1])
    return logits.gather(1, target[:, None].long())[:, 0]
