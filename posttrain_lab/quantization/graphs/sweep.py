"""One sweep along an annotated graph that chooses weight codes and grids, as `chain.sweep` does along a chain.

The calibration data flow through what is quantized already, so each range and each rounding sees the inputs that the quantized
network will really have.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..chain import CALIBRATION_BATCH
from ..config import QuantizationConfig
from ..layers import CodedLayer, coded_layer
from ..rounding import quantize_layer
from .annotate import Annotated, annotate
from .capture import capture, layer_name
from .layers import put_layers


@dataclass
class Weights:
    """The codes and scale of one call of a layer, and the layer itself."""

    layer: Any
    codes: Tensor
    scale: Tensor


@dataclass
class Calibrated(Annotated):
    """An annotated graph whose grid points have their codes, and the weight codes of each product."""

    weights: dict[fx.Node, Weights] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()


class Sweep(fx.Interpreter):
    """Run the graph on all calibration data, node by node; a product chooses its codes when it is reached."""

    def __init__(self, annotated: Annotated, config: QuantizationConfig) -> None:
        super().__init__(annotated.graph)
        self.config, self.weights = config, {}
        self.coded: dict[nn.Module, CodedLayer] = {}
        self.roles = annotated.roles

    def run_node(self, n: fx.Node) -> Any:
        if n not in self.roles or self.roles[n].kind != "product":
            return super().run_node(n)
        layer: Any = self.fetch_attr(str(n.target))
        x = self.env[n.args[0]]  # type: ignore[index]
        coded = self.coded.get(layer) if self.config.rounding == "nearest" else None  # a layer called twice has one set of codes
        if coded is None:
            try:
                codes, scale = quantize_layer(layer, x, self.config)
            except ValueError as error:
                name = layer_name(n) or str(n.target)
                raise ValueError(f"quantize_model cannot quantize layer '{name}': {error}") from error
            coded = self.coded[layer] = coded_layer(layer, codes, scale, self.config, "weight_only")
        self.weights[n] = Weights(layer, coded.weight_codes(), coded.scale)
        return torch.cat([coded(part) for part in x.split(CALIBRATION_BATCH)])


def prepared(model: nn.Module, example: Tensor, caller: str) -> fx.GraphModule:
    """The captured graph with plain layers in it. Raises ValueError when there is nothing to multiply, or like `capture`."""
    graph = capture(model, example, caller)
    put_layers(graph)
    layers = [module for module in graph.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ValueError(f"{caller} wants a model with Linear or Conv2d layers, got none: nothing to quantize.")
    return graph


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor, config: QuantizationConfig, caller: str) -> Calibrated:
    """Trace the network, put grid points into it and choose all codes from the images."""
    annotated = annotate(prepared(model, images, caller), config)
    sweep = Sweep(annotated, config)
    sweep.run(images)
    return Calibrated(annotated.graph, annotated.roles, sweep.weights, tuple(images.shape[1:]))
