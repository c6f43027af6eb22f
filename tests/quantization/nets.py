"""Seeded numbers, images and small networks."""

import torch
from torch import nn


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def images(n: int = 24, channels: int = 2, seed: int = 0) -> torch.Tensor:
    """Images [n, channels, 12, 10] in [0, 1] whose ends are reached, so that a minmax range is known."""
    x = torch.rand(n, channels, 12, 10, generator=torch.Generator().manual_seed(seed))
    x[0, 0, 0, 0], x[0, 0, 0, 1] = 0.0, 1.0
    return x


def small_cnn(seed: int = 0) -> nn.Sequential:
    """A nested chain in train mode; its batch norms have statistics and weights of their own."""
    torch.manual_seed(seed)
    block = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    second = [nn.Conv2d(6, 8, (3, 2), stride=(2, 1), padding=(1, 0), groups=2), nn.BatchNorm2d(8), nn.Dropout(0.5)]
    model = nn.Sequential(block, *second, nn.Flatten(), nn.Linear(96, 16), nn.ReLU(), nn.Linear(16, 5))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.5
    return model
