"""Small networks for the cases of unit 07, with weights of the case's own seed, and an eye on gradients that are too close to zero."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.random_cases import Draw

CLEAR = 3e-6  # a pixel's gradient is zero, or at least this share of its image's largest: its sign does not depend on rounding


def _filled(draw: Draw, model: nn.Sequential, size: float) -> nn.Sequential:
    """The same layers with weights from the draw; a batch norm gets statistics that are not 0 and 1."""
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d):
            n = layer.num_features
            layer.running_mean, layer.running_var = draw.normal(n, std=0.3), draw.uniform(0.3, 2.0, n)
        for parameter in layer.parameters(recurse=False):
            inputs = parameter[0].numel() if parameter.ndim > 1 else 1
            shift = 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0
            parameter.data = draw.normal(*parameter.shape, std=0.15 * size if parameter.ndim == 1 else size / inputs**0.5) + shift
    return model.eval()


def linear(draw: Draw, inputs: int, classes: int, size: float = 2.0) -> nn.Sequential:
    """Flatten and one linear layer."""
    with torch.random.fork_rng(devices=[]):
        return _filled(draw, nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes)), size)


def weight_of(model: nn.Sequential) -> Tensor:
    """The weight of `linear`'s layer, [classes, inputs]; writing into it changes the model."""
    layer = model[1]
    assert isinstance(layer, nn.Linear)
    return layer.weight.data


def deep(draw: Draw, inputs: int, hidden: int, classes: int, size: float = 2.0) -> nn.Sequential:
    """Two linear layers with a ReLU between them."""
    with torch.random.fork_rng(devices=[]):
        layers = [nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
        return _filled(draw, nn.Sequential(*layers), size)


def convolutional(draw: Draw, channels: int, height: int, width: int, classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Convolution, batch norm, ReLU, pooling, dropout, a linear layer."""
    with torch.random.fork_rng(devices=[]):
        first = [nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
        last = [nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * (height // 2) * (width // 2), classes)]
        return _filled(draw, nn.Sequential(*first, *last), 2.0)


def doubled(model: nn.Module) -> nn.Module:
    """A copy in float64 and in eval mode: for oracles."""
    return copy.deepcopy(model).double().eval()


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


def images(draw: Draw, *shape: int, inside: float = 0.0) -> Tensor:
    """Pixels between `inside` and 1 - inside; without a margin, some are exactly 0 or 1."""
    x = draw.uniform(inside, 1 - inside, *shape)
    if inside:
        return x
    ends = draw.uniform(0, 1, *shape)
    return torch.where(ends < 0.1, 0.0, torch.where(ends > 0.9, 1.0, x))


def labels(draw: Draw, n: int, classes: int) -> Tensor:
    """Class numbers [n] int64."""
    return torch.randint(classes, (n,), generator=draw.generator)
