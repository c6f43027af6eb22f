"""Small networks and examples for the tests of fine-tuning."""

import torch
from torch import nn

from posttrain_lab.data import Dataset, Split


def small_cnn(seed: int = 0) -> nn.Sequential:
    """Two convolutions, a batch norm with statistics of its own, two linear layers: [n, 1, 8, 8] -> [n, 3]."""
    torch.manual_seed(seed)
    first = [nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*first, nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))
    model[1].running_mean, model[1].running_var = torch.randn(4), torch.rand(4) + 0.5
    return model


def stripes(n: int, seed: int = 0, noise: float = 0.3) -> Dataset:
    """Images [n, 1, 8, 8] whose bright third tells the class: easy to learn, not trivial."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    images = noise * torch.randn(n, 1, 8, 8, generator=generator)
    for i, label in enumerate(labels.tolist()):
        images[i, 0, :, 3 * label : 3 * label + 2] += 1.0
    return Dataset(images, labels, ("left", "middle", "right"))


def stripe_split() -> Split:
    """Little to learn from, enough to judge by."""
    parts = [stripes(n, seed, noise=0.9) for seed, n in enumerate((150, 30, 90, 60))]
    return Split("stripes", *parts)


def same_state(first: nn.Module, second: nn.Module) -> bool:
    """Are all parameters and buffers equal, bit for bit?"""
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def kept(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all parameters and buffers."""
    return {name: value.clone() for name, value in model.state_dict().items()}
