"""Random networks whose channels must be followed: chains, additions, concatenations, groups, depthwise, squeeze and excite, heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Sum(nn.Module):
    """Two branches of the same width, added; one may be the input itself."""

    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.one(x) + self.other(x))


class Joined(nn.Module):
    """Two branches, concatenated."""

    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.other(x)], dim=1)


class Excite(nn.Module):
    """Channels scale themselves (Hu et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, max(1, width // 2), 1), nn.Conv2d(max(1, width // 2), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        small = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.up(F.silu(self.down(small))))


class Halves(nn.Module):
    """A gate: one half of the channels multiplies the other."""

    def forward(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, dim=1)
        return one * torch.tanh(other)


class Heads(nn.Module):
    """Self-attention over the places of an image, one fused projection, written out without a kernel."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.head, self.qkv, self.out = head, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = self.qkv(x.flatten(2).transpose(1, 2))
        q, k, v = tokens.reshape(n, h * w, 3, -1, self.head).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = torch.softmax(q @ k.transpose(-1, -2) / self.head**0.5, dim=-1) @ v
        return x + self.out(mixed.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(n, c, h, w)


def layer(inputs: int, outputs: int, rng: torch.Generator) -> nn.Sequential:
    """Conv, maybe grouped, maybe batch norm, and some activation, also ones that do not keep 0."""
    groups = 2 if inputs % 2 == 0 and outputs % 2 == 0 and int(torch.randint(3, (), generator=rng)) == 0 else 1
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=bool(torch.randint(2, (), generator=rng)))
    ]
    if int(torch.randint(3, (), generator=rng)):
        parts.append(nn.BatchNorm2d(outputs))
    parts.append([nn.ReLU(), nn.GELU(), nn.Sigmoid(), nn.Softplus()][int(torch.randint(4, (), generator=rng))])
    return nn.Sequential(*parts)


def block(width: int, rng: torch.Generator) -> tuple[nn.Module, int]:
    """A random block for `width` channels, and the channels that it gives."""
    kind, other = int(torch.randint(8, (), generator=rng)), 2 * int(torch.randint(1, 4, (), generator=rng))
    if kind == 0:
        return layer(width, other, rng), other
    if kind == 1:
        return Sum(layer(width, width, rng), nn.Identity()), width
    if kind == 2:
        return Sum(layer(width, other, rng), nn.Conv2d(width, other, 1)), other
    if kind == 3:
        return Joined(layer(width, other, rng), layer(width, 3, rng)), other + 3
    if kind == 4:
        twice = int(torch.randint(1, 3, (), generator=rng))
        return nn.Sequential(
            nn.Conv2d(width, twice * width, 3, padding=1, groups=width), nn.BatchNorm2d(twice * width)
        ), twice * width
    if kind == 5:
        return Excite(width), width
    if kind == 6:
        return nn.Sequential(layer(width, 2 * other, rng), Halves()), other
    return (Heads(width, 2), width) if width % 2 == 0 else (layer(width, width, rng), width)


def random_network(seed: int, blocks: int = 4) -> nn.Sequential:
    """A network for images [n, 2, 6, 6] and 3 classes; batch norms have statistics of their own."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    parts: list[nn.Module] = [layer(2, 6, rng)]
    width = 6
    for _ in range(blocks):
        part, width = block(width, rng)
        parts.append(part)
    if int(torch.randint(2, (), generator=rng)):
        end = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9 * width, 8), nn.ReLU(), nn.Linear(8, 3)]
    else:
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3)]
    return shaken(nn.Sequential(*parts, *end))


def shaken(model: nn.Module) -> nn.Module:
    """Batch norms as after training: weights, biases and statistics that are not 1 and 0. In eval mode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.5
    return model.eval()
