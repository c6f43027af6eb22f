"""The quantized network that a graph becomes: float in, float out, and a report of its parts."""

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, fx, nn

from ..config import QuantizationConfig
from ..layers import CodedLayer, coded_layer
from .grids import Codes, GridPoint, fake_in_parts
from .report import GraphReport, report_of
from .sweep import Calibrated

BATCH = 128  # inputs at a time


class OnGrid(nn.Module):
    """x quantized and dequantized: float in, float out, on the grid of its codes."""

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, x: Tensor) -> Tensor:
        return fake_in_parts(self.codes, x)

    def extra_repr(self) -> str:
        return f"scale={self.codes.scale:.6g}, zero_point={self.codes.zero_point}, bits={self.codes.bits}"


class GraphNetwork(nn.Module):
    """A traced network whose products are quantized; `graph` is the network, `report` says what is integer and what float.

    It takes inputs of the shape it was traced with, any number of them.
    """

    def __init__(self, graph: fx.GraphModule, report: GraphReport, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.graph, self.report, self.input_shape = graph, report, input_shape

    @torch.no_grad()
    def forward(self, x: Shaped[Tensor, "n ..."]) -> Any:
        if tuple(x.shape[1:]) != self.input_shape:
            raise ValueError(
                f"this network was traced for inputs {list(self.input_shape)}, got {list(x.shape[1:])}; "
                "quantize it with calibration data of this size."
            )
        return self.graph(x)


def static_network(calibrated: Calibrated, config: QuantizationConfig) -> GraphNetwork:
    """The float simulation: weights from codes, activations on their grids."""
    report, graph = report_of(calibrated), calibrated.graph
    layers: dict[tuple[int, int], CodedLayer] = {}
    for node, weights in calibrated.weights.items():
        key = (id(weights.layer), weights.codes.data_ptr())
        if key not in layers:
            layers[key] = coded_layer(weights.layer, weights.codes, weights.scale, config, "weight_only")
            graph.add_submodule(f"{node.target}_{len(layers)}", layers[key])
        node.target = next(name for name, module in graph.named_children() if module is layers[key])
    for name, module in list(graph.named_children()):
        if isinstance(module, GridPoint):
            graph.add_submodule(name, OnGrid(module.codes))
    return _finished(graph, report, calibrated.input_shape)


def _finished(graph: fx.GraphModule, report: GraphReport, input_shape: tuple[int, ...]) -> GraphNetwork:
    graph.delete_all_unused_submodules()
    for node in graph.graph.nodes:
        node.meta = {}
    graph.graph.lint()
    graph.recompile()
    return GraphNetwork(graph, report, input_shape).eval()
