"""A `GraphNetwork` of mode "integer" as an ONNX model: node by node, int8 and int32 between the borders, float in the islands.

Two runs, with batches of 2 and 3, give the shapes and the axis that grows with the batch; what no input reaches (swin's masks) is a
constant. Left out: networks with several outputs, tensors whose values decide sizes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from ..onnx_builder import Graph, onnx_model, onnx_package
from .capture import op_name
from .layers import arguments, module_of
from .network import GraphNetwork
from .onnx_functions import FUNCTIONS, PARTS, OnnxCall, as_array, sliced
from .onnx_layers import write_layer

FRESH = ("new_zeros", "new_ones", "new_full", "zeros", "ones", "full", "arange")


class _Run(fx.Interpreter):
    """Run the graph and keep the shape of every tensor, and the value of what no input reaches."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.shapes: dict[fx.Node, Any] = {}
        self.kinds: dict[fx.Node, torch.dtype] = {}
        self.constants: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n], self.kinds[n] = tuple(value.shape), value.dtype
            fresh = n.op == "get_attr" or op_name(n) in FRESH
            known = n.op == "call_function" and n.all_input_nodes and all(one in self.constants for one in n.all_input_nodes)
            if fresh or known:
                self.constants[n] = value
        elif isinstance(value, tuple | list) and value and all(isinstance(one, Tensor) for one in value):
            self.shapes[n], self.kinds[n] = [tuple(one.shape) for one in value], value[0].dtype
        return value


class _Export:
    def __init__(self, network: GraphNetwork) -> None:
        self.network, self.module, self.graph = network, network.graph, Graph()
        self.runs = [_Run(self.module), _Run(self.module)]
        tokens = any(op_name(node) == "embedding" for node in self.module.graph.nodes)
        self.tokens = tokens
        with torch.no_grad():
            for run, n in zip(self.runs, (2, 3), strict=True):
                run.run(torch.zeros(n, *network.input_shape, dtype=torch.int64 if tokens else torch.float32))
        self.names: dict[fx.Node, str] = {}
        self.written: list[fx.Node] = []

    def name_of(self, node: Any) -> str:
        """The ONNX name of a node's tensor; a constant is stored when it is first asked for."""
        if node not in self.names:
            self.names[node] = self.graph.constant(as_array(self.runs[0].constants[node]))
        return self.names[node]

    def shape_of(self, node: Any) -> tuple[int, ...]:
        return self.runs[0].shapes[node]

    def write(self) -> fx.Node:
        """Write every node; returns the one that is the output."""
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                self.names[node] = "x"
            elif node.op == "output":
                return self._output(node)
            elif node.op == "call_module":
                self._layer(node)
            elif node in self.runs[0].shapes and node not in self.runs[0].constants and op_name(node) not in PARTS:
                self._function(node)
        raise AssertionError("a graph without an output")

    def _output(self, node: fx.Node) -> fx.Node:
        found: Any = node.args[0]
        found = found[0] if isinstance(found, tuple | list) and len(found) == 1 else found
        if not isinstance(found, fx.Node):
            raise ValueError("to_onnx wants a network with one tensor as its output, got several; return one of them.")
        return found

    def _layer(self, node: fx.Node) -> None:
        layer, source = module_of(self.module, node), node.args[0]
        kind = "INT8" if self.runs[0].kinds.get(source) == torch.int8 else "INT32"  # type: ignore[arg-type]
        ndim = len(self.shape_of(source))
        name = write_layer(self.graph, str(node.target), layer, [self.name_of(one) for one in node.args], ndim, kind)
        self.graph.nodes[-1].output[0] = f"layer_{node.name}"
        self.names[node] = f"layer_{node.name}" if name else name
        self.written.append(node)

    def _function(self, node: fx.Node) -> None:
        name = op_name(node)
        if name == "getitem":
            self.names[node] = self._part(node)
            return
        if name not in FUNCTIONS:
            raise ValueError(f"to_onnx has no form for the operator '{name}' ({node.name}); leave it out of what is exported.")
        shapes = [run.shapes[node] for run in self.runs]
        call = OnnxCall(self.graph, arguments(node), self.name_of, shapes[0], shapes[1], self.shape_of)
        if name in ("pad", "constant_pad_nd"):
            self.names[node] = FUNCTIONS[name](call, self._fill(node, call))
        else:
            self.names[node] = FUNCTIONS[name](call)

    def _fill(self, node: fx.Node, call: OnnxCall) -> Any:
        """The number to pad with, in the type of the tensor."""
        kinds = {torch.int8: np.int8, torch.int16: np.int32, torch.float32: np.float32, torch.int64: np.int64}
        return kinds[self.runs[0].kinds[node]](call.named.get("value") or 0)

    def _part(self, node: fx.Node) -> str:
        """One part of chunk, split or unbind."""
        whole: Any = node.args[0]
        index, named = int(node.args[1]), arguments(whole)  # type: ignore[arg-type]
        axis, shapes = named["dim"], self.runs[0].shapes[whole]
        self.graph.now = self.name_of(named["self"])
        index %= len(shapes)
        if op_name(whole) == "unbind":
            return self.graph.add("Gather", np.array(index, np.int64), axis=axis)
        start = sum(shape[axis] for shape in shapes[:index])
        return sliced(self.graph, axis, start, start + shapes[index][axis])


def graph_to_onnx(network: GraphNetwork, every_layer: bool) -> Any:
    """The network as an onnx.ModelProto; see `to_onnx`."""
    onnx, export = onnx_package(), _Export(network)
    last = export.write()
    export.graph.now = export.name_of(last)
    export.graph.add("Identity", output="y")
    kinds = {torch.int8: onnx.TensorProto.INT8, torch.int16: onnx.TensorProto.INT32, torch.float32: onnx.TensorProto.FLOAT}

    def described(node: fx.Node, name: str) -> Any:
        first, second = (run.shapes[node] for run in export.runs)
        shape = [None if a != b else a for a, b in zip(first, second, strict=True)]
        shape[0] = "n" if shape and shape[0] is None else shape[0]
        return onnx.helper.make_tensor_value_info(name, kinds[export.runs[0].kinds[node]], shape)

    kind = onnx.TensorProto.INT64 if export.tokens else onnx.TensorProto.FLOAT
    source = onnx.helper.make_tensor_value_info("x", kind, ["n", *network.input_shape])
    layers = [described(node, export.names[node]) for node in export.written] if every_layer else []
    return onnx_model(export.graph, source, [described(last, "y"), *layers])
