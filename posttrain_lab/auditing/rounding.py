"""Quantized networks for audits: one whose rounding has the gradient zero, as in most code, and one that passes a useful gradient.

Rounding is a staircase: its derivative is zero almost everywhere. So a quantized network gives an attack, and an attribution, the gradient zero,
or none at all. That hides the network's weakness and does not remove it. Straight-through: the outputs of the rounded network, the
gradient of its float path.

Source: Bengio et al. 2013 (straight-through); Athalye, Carlini, Wagner 2018 (obfuscated gradients, BPDA).
"""

import copy
from typing import Any

import torch  # noqa: F401 (its examples use it)
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.data import Dataset
from posttrain_lab.metrics import check_model
from posttrain_lab.quantization import IntegerNetwork, QuantizationConfig, quantize_model
from posttrain_lab.quantization.layer_math import convolve
from posttrain_lab.quantization.layers import DynamicConv2d, DynamicLinear
from posttrain_lab.quantization.network import ActivationQuantizer

from .arguments import loss_gradient, undisturbed


class Rounding(nn.Module):
    """x rounded to a grid of 2^bits numbers: (clamp(round(x / scale) + zero_point, qmin, qmax) - zero_point) * scale.

    Written with torch's own `round`, whose gradient is zero everywhere.

    >>> Rounding(scale=0.5, zero_point=0, bits=3)(torch.tensor([0.6, -9.0]))
    tensor([ 0.5000, -2.0000])
    """

    def __init__(self, scale: float, zero_point: int, bits: int) -> None:
        super().__init__()
        self.scale, self.zero_point, self.bits = float(scale), int(zero_point), int(bits)

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        codes = (x / self.scale).round() + self.zero_point
        return (codes.clamp(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) - self.zero_point) * self.scale

    def extra_repr(self) -> str:
        return f"scale={self.scale:.6g}, zero_point={self.zero_point}, bits={self.bits}"


def rounded_network(
    model: nn.Sequential, calibration: Dataset | Float[Tensor, "n ..."], bits: int = 8, activation_bits: int = 8
) -> nn.Sequential:
    """The model with rounded weights and, between its layers, rounded activations: one nn.Sequential, `Rounding` where it rounds.

    What `quantize_model` gives in mode "static", with the same outputs; only its rounding is `Rounding`, which has a gradient, zero.
    Raises as `quantize_model`.

    >>> [type(layer).__name__ for layer in rounded_network(nn.Sequential(nn.Linear(2, 2)), torch.rand(4, 2))]
    ['Rounding', 'WeightOnlyLinear']
    """
    quantized = quantize_model(model, calibration, QuantizationConfig(bits=bits, activation_bits=activation_bits))
    made = nn.Sequential()
    for name, layer in quantized.named_children():
        if isinstance(layer, ActivationQuantizer):
            layer = Rounding(layer.codes.scale, layer.codes.zero_point, layer.codes.bits)
        made.add_module(name, layer)
    return made.eval()


class StraightThrough(nn.Module):
    """The output of `rounded`, the gradient of the identity, or of a coded layer with its weights decoded."""

    def __init__(self, rounded: nn.Module) -> None:
        super().__init__()
        self.rounded = rounded

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        smooth = self.float_path(x)
        # smooth - smooth.detach() is exactly 0, so the output is exactly that of the rounded layer
        return self.rounded(x).detach() + (smooth - smooth.detach())

    def float_path(self, x: Tensor) -> Tensor:
        """What the layer would give without rounding its input."""
        layer: Any = self.rounded
        if isinstance(layer, DynamicConv2d):
            return convolve(x, layer.dequantized(), layer.bias, layer.conv)
        return F.linear(x, layer.dequantized(), layer.bias) if isinstance(layer, DynamicLinear) else x


ROUNDS = (Rounding, ActivationQuantizer, DynamicLinear, DynamicConv2d)


def straight_through(quantized: nn.Module) -> nn.Module:
    """The same network, whose rounding passes gradients: outputs of the quantized network, gradients of its float path.

    A new module; `quantized` is not changed. For networks of modes "static" and "dynamic", of `rounded_network`, and of mode "weight_only", which
    pass gradients as they are. Raises TypeError for anything but an nn.Module; ValueError for an `IntegerNetwork`, which has no
    float path (use mode "static": its outputs differ by the rounding of the last layer's scale only).

    >>> network = rounded_network(nn.Sequential(nn.Linear(2, 2)), torch.rand(4, 2))
    >>> passing, x = straight_through(network), torch.rand(3, 2)
    >>> y = torch.tensor([0, 1, 0])
    >>> torch.equal(passing(x), network(x)), gradients_hidden(network, x, y), gradients_hidden(passing, x, y)
    (True, 1.0, 0.0)
    """
    check_model("straight_through", quantized)
    if any(isinstance(module, IntegerNetwork) for module in quantized.modules()):
        raise ValueError('straight_through wants a network with a float path, got an IntegerNetwork; quantize in mode "static".')
    if isinstance(quantized, ROUNDS):
        return StraightThrough(copy.deepcopy(quantized))
    made = copy.deepcopy(quantized)
    for name, module in list(made.named_modules()):
        if isinstance(module, ROUNDS):
            parent, _, child = name.rpartition(".")
            setattr(made.get_submodule(parent), child, StraightThrough(module))
    return made


def gradients_hidden(model: nn.Module, x: Float[Tensor, "n ..."], y: Integer[Tensor, " n"]) -> float:
    """For which share of the images is the gradient of the loss zero in every pixel? 0 to 1; above 0 an attack by gradients says little."""
    with undisturbed("gradients_hidden", model):
        found = loss_gradient("gradients_hidden", model, x, y)
    return float((found.flatten(1) == 0).all(dim=1).double().mean())
