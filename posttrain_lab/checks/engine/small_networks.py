"""Small networks for the cases of checks, with weights of the case's own seed, and images and labels for them."""

import copy

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.random_cases import Draw


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
