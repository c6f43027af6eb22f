"""Layers whose class does not say what they compute, layers in two places, and weights that are computed from others."""

from collections.abc import Callable

import torch
import torch.nn.utils.prune
from torch import Tensor, nn
from torch.nn import functional as F

NormedBy = Callable[[nn.Module], nn.Module]


class PlainConv(nn.Conv2d):
    """A subclass that computes what its base computes."""


class PlainLinear(nn.Linear):
    """Another."""


class PlainSequential(nn.Sequential):
    """And a container."""


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Standardized(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, w, self.bias)


class StandardizedInside(nn.Conv2d):
    """The same, by the method that `forward` calls."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(input, weight - weight.mean((1, 2, 3), keepdim=True), bias)


class Doubling(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Leaky(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, 0.5)


class Noting(nn.Module):
    """Reads the weight of a layer and does not call it, as torchvision's attention in windows does."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.inner.weight, self.inner.bias)


def patched(layer: nn.Module) -> nn.Module:
    """An object whose `forward` is replaced, its class is not."""
    forward = layer.forward
    layer.forward = lambda x: 3 * forward(x)
    return layer


def torch_pruned(layer: nn.Module) -> nn.Module:
    return torch.nn.utils.prune.l1_unstructured(layer, "weight", 0.5)


def old_norm(layer: nn.Module) -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(layer)


HOOKED = {"torch's prune": torch_pruned, "old weight_norm": old_norm, "old spectral_norm": nn.utils.spectral_norm}
PARAMETRIZED = {
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "spectral_norm": nn.utils.parametrizations.spectral_norm,
}


def mlp(change: NormedBy = lambda layer: layer) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(change(nn.Linear(8, 16)), nn.ReLU(), nn.Linear(16, 4)).eval()


def encoder() -> nn.Sequential:
    """With torch's fast path, which reads the weights of its parts in eval mode."""
    torch.manual_seed(0)
    return nn.Sequential(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), nn.Linear(32, 5)).eval()


def relative(got: Tensor, want: Tensor) -> float:
    return float(((got - want).norm() / want.norm()).detach())
