"""Turn a calibrated graph into one that computes with integers between the borders of its float islands.

Every node is visited in the order of execution. A grid point that follows an integer node disappears: the node gives these codes at
once. One that reads a float becomes a border into integers, one that reads codes of another grid a rescaling; where a float operator
reads codes, a border out of integers is put in.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn

from ..chain import QuantizedStep
from ..config import QuantizationConfig
from .annotate import fused_clamp
from .capture import constant, layer_name, op_name
from .grids import Codes, GridPoint, WideCodes
from .integer_layers import (
    FromCodes,
    IntegerAffine,
    IntegerAverage,
    IntegerCat,
    IntegerMaxPool,
    IntegerProduct,
    IntegerRescale,
    IntegerSum,
    IntegerTable,
    ToCodes,
    limits,
)
from .integer_products import integer_product
from .layers import ChannelAffine, arguments, module_of
from .network import GraphNetwork, finished
from .report import report_of
from .roles import AVERAGES, CLAMPS, SUMS, tensor_inputs
from .sweep import Calibrated
from .windows import window_sums


class _Converter:
    """The graph, and the codes of the value of each node so far: None for a float."""

    def __init__(self, calibrated: Calibrated, config: QuantizationConfig) -> None:
        self.graph, self.roles, self.weights, self.config = calibrated.graph, calibrated.roles, calibrated.weights, config
        self.codes: dict[Any, Codes | None] = {}
        self.borders: dict[fx.Node, fx.Node] = {}
        self.taken_in: set[fx.Node] = set()  # clamps that became the ends of a product's codes

    def convert(self) -> None:
        """Visit every node."""
        for node in list(self.graph.graph.nodes):
            role = self.roles[node]
            if node in self.taken_in:
                continue
            if role.kind == "grid":
                self._grid(node)
            elif role.integer and role.kind == "product":
                self._product(node)
            elif role.integer and role.kind == "pointwise":
                self._pointwise(node)
            elif role.integer and role.kind == "same" and self.codes.get(node.args[0]) is not None:
                self._same(node)
            else:
                self._leave(node)

    def _call(self, node: fx.Node, module: nn.Module, sources: tuple, codes: Codes | None) -> None:
        """Compute the node's value by the module from now on."""
        name = f"integer_{node.name}"  # each call has a module of its own: its grids may differ
        self.graph.add_submodule(name, module)
        node.op, node.target, node.args, node.kwargs = "call_module", name, sources, {}
        self.codes[node] = codes

    def _stored(self, node: fx.Node) -> Codes | None:
        """The codes on which the node's result is wanted: those of the one grid point that reads it."""
        point = module_of(self.graph, next(iter(node.users), None)) if len(node.users) == 1 else None
        return point.codes if isinstance(point, GridPoint) else None

    def _grid(self, node: fx.Node) -> None:
        source, point = node.args[0], module_of(self.graph, node).codes
        have = self.codes.get(source)
        if have is point:
            node.replace_all_uses_with(source)  # type: ignore[arg-type]
            self.graph.graph.erase_node(node)
        else:
            self._call(node, ToCodes(point) if have is None else IntegerRescale(have, point), (source,), point)

    def _product(self, node: fx.Node) -> None:
        weights, clamp = self.weights[node], fused_clamp(node, self.roles)
        y = self._stored(clamp or node)
        step = QuantizedStep(layer_name(node), weights.layer, False, weights.codes, weights.scale, y)  # type: ignore[arg-type]
        x: Any = self.codes[node.args[0]]
        made = integer_product(step, x, self.config.bits, _ends(clamp, y) if clamp is not None and y is not None else None)
        self._call(node, made, node.args, y)
        if clamp is not None and y is not None:
            clamp.replace_all_uses_with(node)
            self.graph.graph.erase_node(clamp)
            self.taken_in.add(clamp)

    def _pointwise(self, node: fx.Node) -> None:
        sources, y = tensor_inputs(self.graph, node), self._stored(node)
        assert y is not None
        xs = [self.codes[one] for one in _operands(node, sources)]
        self._call(node, self._module(node, xs, y), tuple(_operands(node, sources)), y)

    def _module(self, node: fx.Node, xs: list[Any], y: Codes) -> nn.Module:
        name, layer = op_name(node), module_of(self.graph, node)
        if isinstance(layer, ChannelAffine):
            return IntegerAffine(layer, xs[0], y)
        if name == "cat":
            return IntegerCat(xs, y, arguments(node)["dim"])
        if name in AVERAGES:
            return IntegerAverage(*window_sums(node), xs[0], y)
        if name in CLAMPS:
            return IntegerRescale(xs[0], y, _ends(node, y))
        constants = [self._number(one) for one in node.args[:2] if not _is_operand(self.graph, one)]
        if name in SUMS and not (name == "mul" and constants):
            if name == "mul":
                return IntegerProduct(xs[0], xs[1], y)
            return _sum(node, xs, constants, y)
        rest = [None if _is_operand(self.graph, one) else one for one in node.args]
        if name == "mul" and constants[0].numel() > 1:
            raise NotImplementedError("a product with a constant for each element")
        if name == "mul":
            return (
                IntegerRescale(WideCodes(xs[0].scale * float(constants[0])), y)
                if float(constants[0]) > 0
                else IntegerTable(lambda values: values * float(constants[0]), xs[0], y)
            )
        target, kwargs = node.target, dict(node.kwargs)
        return IntegerTable(lambda values: target(values, *rest[1:], **kwargs), xs[0], y)  # type: ignore[operator]

    def _number(self, value: Any) -> Tensor:
        tensor = constant(self.graph, value)
        return torch.as_tensor(value, dtype=torch.float64) if tensor is None else tensor

    def _same(self, node: fx.Node) -> None:
        codes = self.codes[node.args[0]]
        assert codes is not None
        name = op_name(node)
        if name == "max_pool2d":
            named = arguments(node)
            rest = [named[key] for key in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")]
            self._call(node, IntegerMaxPool(rest[0], rest[1] or rest[0], *rest[2:]), (node.args[0],), codes)
        elif name in ("pad", "constant_pad_nd"):
            node.target = torch.ops.aten.constant_pad_nd.default
            node.args, node.kwargs = (*node.args[:2], codes.zero_point), {}
        self.codes[node] = codes

    def _leave(self, node: fx.Node) -> None:
        """A float operator: every code it reads goes over a border."""
        for source in node.all_input_nodes:
            codes = self.codes.get(source)
            if codes is None:
                continue
            if source not in self.borders:
                name = f"border_{len(self.borders)}"
                self.graph.add_submodule(name, FromCodes(codes))
                with self.graph.graph.inserting_after(source):
                    self.borders[source] = self.graph.graph.call_module(name, (source,))
            node.replace_input_with(source, self.borders[source])


def _is_operand(graph: fx.GraphModule, value: Any) -> bool:
    return isinstance(value, fx.Node) and constant(graph, value) is None


def _operands(node: fx.Node, sources: list[fx.Node]) -> list[fx.Node]:
    """The tensors in the order of the arguments, a repeated one each time."""
    flat = [one for value in node.args for one in (value if isinstance(value, tuple | list) else [value])]
    return [one for one in flat if one in sources]


def _ends(clamp: fx.Node, y: Codes) -> tuple[int, int]:
    """The codes to which a ReLU, ReLU6 or clamp limits: those of its two numbers, inside the grid."""
    named, name = arguments(clamp), op_name(clamp)
    low, high = {"relu": (0.0, None), "relu6": (0.0, 6.0), "hardtanh": (named.get("min_val"), named.get("max_val"))}.get(
        name, (named.get("min"), named.get("max"))
    )
    bottom, top = limits(y)
    ends = [None if end is None else round(float(end) / y.scale) + y.zero_point for end in (low, high)]
    return min(max(bottom, bottom if ends[0] is None else ends[0]), top), max(
        min(top, top if ends[1] is None else ends[1]), bottom
    )


def _sum(node: fx.Node, xs: list[Any], constants: list[Tensor], y: Codes) -> IntegerSum:
    """add, sub and rsub, with at most one constant."""
    signs = {"add": (1, 1), "sub": (1, -1), "rsub": (-1, 1)}[op_name(node)]
    if not constants:
        return IntegerSum(xs, signs, y)
    place = next(number for number, one in enumerate(node.args[:2]) if not isinstance(one, fx.Node) or one.op == "get_attr")
    return IntegerSum(xs, (signs[1 - place],), y, signs[place] * constants[0])


def integer_graph(calibrated: Calibrated, config: QuantizationConfig) -> GraphNetwork:
    """The network of mode "integer". Raises ValueError naming a layer whose sums could pass 2^30."""
    report = report_of(calibrated)
    _Converter(calibrated, config).convert()
    return finished(calibrated.graph, report, calibrated.input_shape)
