"""The quantized network that a graph becomes: float in, float out, and a report of its parts."""

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, fx, nn

from ..config import QuantizationConfig
from ..layers import CodedLayer, coded_layer
from .grids import Codes, GridPoint, fake_in_parts
from .layers import drop_unused
from .report import GraphReport, report_of
from .roles import Role, assign_roles
from .sweep import Calibrated, Sweep, prepared


class GridRounding(nn.Module):
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
        if not isinstance(x, Tensor):
            raise TypeError(f"this network wants a tensor [n, {', '.join(map(str, self.input_shape))}], got {type(x).__name__}.")
        if tuple(x.shape[1:]) != self.input_shape:
            raise ValueError(
                f"this network was traced for inputs {list(self.input_shape)}, got {list(x.shape[1:])}; "
                "quantize it with calibration data of this size."
            )
        from posttrain_lab.deployment.one_call import in_one_call  # Numba, and what builds on this file: loaded at the first use

        done = in_one_call(self, x)
        return self.graph(x) if done is None else done


def _put_coded(calibrated: Calibrated, config: QuantizationConfig, mode: str) -> None:
    """Exchange each product's layer for its coded layer; calls with the same codes share one."""
    layers: dict[tuple[int, int], tuple[str, CodedLayer]] = {}
    for node, weights in calibrated.weights.items():
        key = (id(weights.layer), weights.codes.data_ptr())
        if key not in layers:
            name = f"{node.target}_{len(layers)}" if node.target in {name for name, _ in layers.values()} else str(node.target)
            layers[key] = name, coded_layer(weights.layer, weights.codes, weights.scale, config, mode)
        node.target = layers[key][0]
    for name, layer in layers.values():
        calibrated.graph.add_submodule(name, layer)


def static_network(calibrated: Calibrated, config: QuantizationConfig) -> GraphNetwork:
    """The float simulation: weights from codes, activations on their grids."""
    report, graph = report_of(calibrated), calibrated.graph
    _put_coded(calibrated, config, "weight_only")
    for name, module in list(graph.named_children()):
        if isinstance(module, GridPoint):
            graph.add_submodule(name, GridRounding(module.codes))
    return finished(graph, report, calibrated.input_shape)


@torch.no_grad()
def float_network(model: nn.Module, images: Tensor, config: QuantizationConfig, caller: str) -> GraphNetwork:
    """The traced network of mode "dynamic" or "weight_only": every product from codes, all else as it was."""
    graph = prepared(model, images, caller)
    roles = {node: Role(role.kind, role.kind == "product", role.why) for node, role in assign_roles(graph).items()}
    calibrated = Calibrated(graph, roles, input_shape=tuple(images.shape[1:]))
    sweep = Sweep(calibrated, config)
    sweep.run(images if config.rounding == "gptq" else images[:1])
    calibrated.weights = sweep.weights
    for role in roles.values():
        role.integer = role.kind == "product" and config.mode == "dynamic"
        role.why = "" if role.integer else "codes become float weights" if role.kind == "product" else f"mode '{config.mode}'"
    report = report_of(calibrated)
    _put_coded(calibrated, config, config.mode)
    return finished(graph, report, calibrated.input_shape)


def finished(graph: fx.GraphModule, report: GraphReport, input_shape: tuple[int, ...]) -> GraphNetwork:
    """Clean up and wrap: no node keeps what only the tracing needed."""
    drop_unused(graph)
    for node in graph.graph.nodes:
        node.meta = {}
    graph.graph.lint()
    graph.recompile()
    return GraphNetwork(graph, report, input_shape).eval()
