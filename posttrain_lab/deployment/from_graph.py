"""The operations of an integer `GraphNetwork`: a traced network whose every node computes with integers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from posttrain_lab.quantization.graphs.capture import op_name
from posttrain_lab.quantization.graphs.grids import WideCodes
from posttrain_lab.quantization.graphs.integer_layers import (
    FromCodes,
    IntegerAverage,
    IntegerMaxPool,
    IntegerRescale,
    IntegerSum,
    ToCodes,
)
from posttrain_lab.quantization.graphs.integer_products import GraphConv2d, GraphLinear
from posttrain_lab.quantization.graphs.network import GraphNetwork
from posttrain_lab.quantization.graphs.windows import WindowSums
from posttrain_lab.quantization.integer_network import IntegerLayer
from posttrain_lab.quantization.layer_math import pair

from .from_chain import Listing, check_end, image_shape, product, zeros_after
from .program import Affine, IntegerProgram, Operation, Value, Window

FLATTENS = ("flatten", "view", "reshape", "_unsafe_view")
SIZES = ("sym_size", "size")  # a batch's size, read by a view
LARGEST_CONSTANT = 2**52


@dataclass
class _Tracer:
    """The listing, which value each node has, and the shape of each node for one image."""

    network: GraphNetwork
    listing: Listing
    pool: bool
    shapes: dict[fx.Node, tuple[int, ...]]
    numbers: dict[fx.Node, int]
    padded: dict[fx.Node, tuple[fx.Node, tuple[int, int, int, int]]]
    x: Any = None
    y: Any = None

    def visit(self, node: fx.Node) -> None:
        """List what one node does."""
        if node.op in ("placeholder", "output", "get_attr") or op_name(node) in SIZES:
            return
        module = self.network.graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, ToCodes):
            self._input(node, module)
        elif isinstance(module, FromCodes):
            self._border(node, module)
        elif module is not None and type(module) in _BY_TYPE:
            self.numbers[node] = _BY_TYPE[type(module)](self, node, module)
        elif op_name(node) in FLATTENS:
            self._flatten(node)
        elif op_name(node) in ("constant_pad_nd", "pad"):
            pads = [*node.args[1], 0, 0][:4]  # type: ignore[misc]
            self.padded[node] = self._source(node), tuple(pads)  # type: ignore[assignment]
        else:
            self.refuse(node, type(module).__name__ if module is not None else op_name(node))

    def refuse(self, node: fx.Node, what: str) -> None:
        """Raise ValueError with the node's name, and the parts of the network that are in float."""
        islands = "; ".join(
            f"{part.layer or 'the network'}: {part.operator}, {part.why}" for part in self.network.report.islands[:3]
        )
        also = f" In float are {islands}." if islands else ""
        raise ValueError(
            f"operations has no integer form for {what} at '{node.name}'; exchange it for layers that have one.{also}"
        )

    def _source(self, node: fx.Node) -> fx.Node:
        first = node.args[0]
        assert isinstance(first, fx.Node)
        return first

    def _input(self, node: fx.Node, module: ToCodes) -> None:
        """Padding with zeros before the codes is padding with the zero point behind them."""
        source, pads = self.padded.get(self._source(node), (self._source(node), None))
        if source.op != "placeholder" or self.x is not None or isinstance(module.codes, WideCodes):
            self.refuse(node, "a float island, or an input read on a second grid,")
        self.x = module.codes
        if pads is None:
            self.numbers[node] = 0
        else:
            self.numbers[source], self.padded[node] = 0, (source, pads)

    def _border(self, node: fx.Node, module: FromCodes) -> None:
        if any(user.op != "output" for user in node.users):
            self.refuse(next(iter(node.users)), "a float operator")
        self.y, self.numbers[node] = module.codes, self.value(node)

    def _flatten(self, node: fx.Node) -> None:
        number, shape = self.value(node), self.shapes[node]
        if len(shape) != 1:
            self.refuse(node, f"{op_name(node)} to {list(shape)}")
        self.listing.flat.add(number)
        self.numbers[node] = number

    def value(self, node: fx.Node) -> int:
        """The number of the value that the node reads."""
        source = self._source(node)
        if source not in self.numbers:
            self.refuse(node, "a float input, or padding that no convolution reads,")
        return self.numbers[source]

    def out(self, node: fx.Node, codes: Any) -> Value:
        """The value of the node: its shape, and the bits of the grid `codes`; None: int32 sums."""
        bits = 32 if codes is None else 16 if isinstance(codes, WideCodes) else 8
        return Value(node.name, image_shape(self.shapes[node], node.name), bits)

    def product(self, node: fx.Node, module: GraphConv2d | GraphLinear) -> int:
        """A convolution or Linear, with the padding that stands before it."""
        source, pads = self.padded.get(self._source(node), (self._source(node), (0, 0, 0, 0)))
        if source not in self.numbers:
            self.refuse(node, "a float input")
        if module.y is None and any(user.op != "output" for user in node.users):
            self.refuse(next(iter(node.users)), "a float operator")
        number = product(self.listing, self.numbers[source], self.out(node, module.y), module)
        if any(pads):
            last = self.listing.operations[-1]
            window = replace(last.window, pads=tuple(a + b for a, b in zip(last.window.pads, pads, strict=True)))
            self.listing.operations[-1] = replace(last, window=window)
        return number

    def max(self, node: fx.Node, module: IntegerMaxPool) -> int:
        """Max pooling, by the convolution before it where nothing else reads that one."""
        size, step, pad, spread = (pair(one if isinstance(one, int) else tuple(one)) for one in module.arguments[:4])
        window = Window(size, step, (pad[1], pad[1], pad[0], pad[0]), spread)
        number = self.value(node)
        value = replace(self.out(node, None), bits=self.listing.values[number].bits)
        alone = self.pool and len(self._source(node).users) == 1 and not module.arguments[4]
        if alone and self.listing.can_pool(number, window):
            return self.listing.pool_onto(window.kernel, value.shape)
        return self.listing.add("max", value, (number,), window=window)

    def rescale(self, node: fx.Node, module: IntegerRescale) -> int:
        """From one grid to another."""
        fixed = {"multiplier": np.array([module.factor]), "shift": np.array([module.shift]), "x_zero": module.zero}
        return self.listing.add("rescale", self.out(node, module.y), (self.value(node),), **fixed, **_ends(module))

    def sum(self, node: fx.Node, module: IntegerSum) -> int:
        """An addition or subtraction of images of one shape, or of one number."""
        sources = [self.numbers[one] for one in node.all_input_nodes if one in self.numbers]
        inputs = tuple(self.numbers[one] for one in node.args if isinstance(one, fx.Node) and one in self.numbers)
        shapes = {self.listing.values[one].shape for one in inputs}
        bias = module.bias if module.bias is not None else torch.zeros(1, dtype=torch.int64)
        if len(inputs) != len(module.factors) or not sources or len(shapes) > 1:
            self.refuse(node, "an addition of images of different shapes")
        if bias.numel() != 1 or abs(int(bias)) >= LARGEST_CONSTANT:
            self.refuse(node, "an addition of a constant that is large, or more than one number,")
        fixed = {"multiplier": np.array(module.factors), "shift": np.array([module.shift]), "bias": bias.reshape(1).numpy()}
        return self.listing.add("sum", self.out(node, module.y), inputs, **fixed, **_ends(module))

    def average(self, node: fx.Node, module: IntegerAverage) -> int:
        """The mean of windows, or of the whole image."""
        number, sums = self.value(node), module.sums
        height, width, _ = self.listing.values[number].shape
        if isinstance(sums, WindowSums):
            vertical, horizontal = sums.padding
            window = Window(sums.size, sums.step, (horizontal, horizontal, vertical, vertical))
        elif len(self.shapes[self._source(node)]) == 3 and {axis % 4 for axis in sums.axes} == {2, 3}:
            window = Window((height, width))
        else:
            self.refuse(node, f"a mean over the axes {sums.axes}")
        fixed = {"multiplier": np.array([module.factor]), "shift": np.array([module.shift])}
        return self.listing.add("average", self.out(node, module.y), (number,), window=window, **fixed, **_ends(module))


def _ends(module: Any) -> dict[str, int]:
    return {"low": module.ends[0], "high": module.ends[1], "zero_point": module.y.zero_point}


_BY_TYPE: dict[type[nn.Module], Callable[..., int]] = {
    GraphConv2d: _Tracer.product,
    GraphLinear: _Tracer.product,
    IntegerMaxPool: _Tracer.max,
    IntegerRescale: _Tracer.rescale,
    IntegerSum: _Tracer.sum,
    IntegerAverage: _Tracer.average,
}


class _Shapes(fx.Interpreter):
    """Runs the graph once, without its products, and keeps the shape of every node's result, without the batch."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As fx does it, but for products: zeros."""
        module = self.fetch_attr(str(target))
        return zeros_after(module, *args) if isinstance(module, IntegerLayer) else super().call_module(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        """As fx does it."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = tuple(result.shape[1:])
        return result


@torch.no_grad()
def graph_shapes(network: GraphNetwork) -> tuple[dict[fx.Node, tuple[int, ...]], Any]:
    """The shape of every node's result, without the batch; and a result of the network, with zeros for what its products give."""
    interpreter = _Shapes(network.graph)
    result = interpreter.run(torch.zeros(1, *network.input_shape))
    return interpreter.shapes, result


def graph_program(network: GraphNetwork, pool: bool) -> IntegerProgram:
    """The operations of a traced integer network."""
    shapes, _ = graph_shapes(network)
    listing = Listing([Value("input", image_shape(network.input_shape, "input"))])
    tracer = _Tracer(network, listing, pool, shapes, {}, {})
    for node in network.graph.graph.nodes:
        tracer.visit(node)
    last = _result(network.graph)
    if tracer.x is None or last not in tracer.numbers:
        tracer.refuse(last, "the input or the output")
    check_end(listing, tracer.numbers[last])
    return _program(tracer, listing.operations[-1])


def _result(graph: fx.GraphModule) -> fx.Node:
    """The node whose value the network returns."""
    returned = next(node for node in graph.graph.nodes if node.op == "output").args[0]
    nodes = returned if isinstance(returned, tuple | list) else [returned]
    if len(nodes) != 1 or not isinstance(nodes[0], fx.Node):
        raise ValueError(f"operations wants a network with one output, got {len(nodes)}; return the logits alone.")
    return nodes[0]


def _program(tracer: _Tracer, last: Operation) -> IntegerProgram:
    y, channels = tracer.y, tracer.listing.values[last.output].shape[2]
    if y is None:
        module = tracer.network.graph.get_submodule(str(_result(tracer.network.graph).target))
        scale = tuple(torch.tensor(module.sum_scale, dtype=torch.float32).tolist())  # type: ignore[arg-type]
    else:
        scale = (y.scale,) * channels
    x = tracer.x
    return IntegerProgram(
        tuple(tracer.listing.values),
        tuple(tracer.listing.operations),
        tracer.network.input_shape,
        Affine(x.scale, x.zero_point, x.bits),
        scale,
        0 if y is None else y.zero_point,
    )
