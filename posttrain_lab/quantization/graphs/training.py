"""Quantization-aware training of a graph: its products round their weights, its grid points follow the batches."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from ..affine import quantize_weight
from ..config import QuantizationConfig
from ..fake_quantize import AVERAGING, RangeFollower, rounded_weight
from ..layer_math import apply_weight
from ..rounding import layer_granularity
from .annotate import annotate
from .grids import HEADROOM, WIDE_TOP, GridPoint, WideCodes
from .integer import integer_graph
from .layers import module_of
from .network import GraphNetwork, static_network
from .sweep import Calibrated, Weights, prepared


class QATProduct(nn.Module):
    """A Linear or Conv2d that rounds its weight in the forward pass."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, config: QuantizationConfig) -> None:
        super().__init__()
        self.layer, self.bits, self.granularity = layer, config.bits, layer_granularity(layer.weight, config.granularity)
        self.macs_per_output = layer.weight[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        return apply_weight(self.layer, x, rounded_weight(self.layer.weight, self.bits, self.granularity))


class WideFollower(nn.Module):
    """A wide grid that follows the largest magnitude of the batches, as `RangeFollower` follows a range."""

    largest: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.tensor(float("nan"), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            seen = float(x.detach().abs().max())
            self.largest.fill_(seen if self.largest.isnan() else float(self.largest) + AVERAGING * (seen - float(self.largest)))
        return x + (self.codes().fake(x.detach()) - x.detach())

    def codes(self) -> WideCodes:
        """The grid of the present magnitude."""
        largest = float(self.largest)
        return WideCodes(HEADROOM * largest / WIDE_TOP if largest > 0 else 1.0)


class GraphQAT(nn.Module):
    """The network that `prepare_qat` returns for a traced model; train it like any other, then `convert_qat`."""

    def __init__(self, graph: fx.GraphModule, config: QuantizationConfig, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.graph, self.config, self.input_shape = graph, config, input_shape

    def forward(self, x: Float[Tensor, "n ..."]) -> Tensor:
        return self.graph(x)


def prepared_graph(model: nn.Module, images: Tensor, config: QuantizationConfig) -> GraphQAT:
    """A copy of the model as a graph in train mode; the images choose the first ranges. Batch norm is folded, dropout left out."""
    graph = annotate(prepared(copy.deepcopy(model), images, "prepare_qat"), config).graph
    for name, module in list(graph.named_children()):
        if isinstance(module, GridPoint):
            graph.add_submodule(name, RangeFollower(config, name) if module.kind == "narrow" else WideFollower())
        elif isinstance(module, nn.Linear | nn.Conv2d):
            graph.add_submodule(name, QATProduct(module, config))
    network = GraphQAT(graph, config, tuple(images.shape[1:])).train()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    with torch.no_grad():
        network(images)
    return network


def _copied(graph: fx.GraphModule) -> fx.GraphModule:
    """A second graph over the same modules, so that converting leaves the first as it is."""
    nodes, copies = fx.Graph(), {}
    output = nodes.graph_copy(graph.graph, copies)
    nodes.output(output)
    nodes.set_codegen(copy.deepcopy(graph.graph._codegen))
    last = next(node for node in graph.graph.nodes if node.op == "output")
    next(iter(reversed(nodes.nodes))).meta = dict(last.meta)
    return fx.GraphModule(graph, nodes)


@torch.no_grad()
def converted_graph(model: GraphQAT) -> GraphNetwork:
    """The quantized network after training, of the config's mode, with the codes and grids of training."""
    graph, config = _copied(model.graph), model.config
    for name, module in list(graph.named_children()):
        if isinstance(module, RangeFollower | WideFollower):
            point = GridPoint("narrow" if isinstance(module, RangeFollower) else "wide", config)
            point.codes = module.codes("convert_qat") if isinstance(module, RangeFollower) else module.codes()
            graph.add_submodule(name, point)
        elif isinstance(module, QATProduct):
            graph.add_submodule(name, copy.deepcopy(module.layer))
    calibrated = Calibrated(graph, {node: node.meta["role"] for node in graph.graph.nodes}, {}, model.input_shape)
    chosen: dict[nn.Module, Weights] = {}
    for node, role in calibrated.roles.items():
        layer = module_of(graph, node)
        if role.kind == "product":
            if layer not in chosen:
                codes, scale = quantize_weight(layer.weight, config.bits, layer_granularity(layer.weight, config.granularity))
                chosen[layer] = Weights(layer, codes, scale)
            calibrated.weights[node] = chosen[layer]
    return (integer_graph if config.mode == "integer" else static_network)(calibrated, config)
