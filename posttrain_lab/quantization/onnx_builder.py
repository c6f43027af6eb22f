"""Write an ONNX graph node by node: the part that chains (onnx.py) and graphs (graphs/onnx.py) share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OPSET, IR_VERSION = 17, 8
Constant = np.ndarray | np.generic


def onnx_package() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            'to_onnx wants the package onnx, which is not installed; run: pip install "posttrain-lab[peers]"'
        ) from error
    return onnx


@dataclass
class Graph:
    """An ONNX graph under construction: each `add` appends a node after the tensor `now`, which becomes its output."""

    now: str = "x"
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, value: Constant) -> str:
        """Store an array in the graph; returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx_package().numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, operator: str, *others: Constant | str, output: str | None = None, **attributes: Any) -> str:
        """Append `operator(now, *others)`, others being arrays or names of tensors; returns the name of the result."""
        inputs = [self.now, *[other if isinstance(other, str) else self.constant(other) for other in others]]
        name = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(onnx_package().helper.make_node(operator, inputs, [name], **attributes))
        self.now = name
        return name


def onnx_model(graph: Graph, source: Any, outputs: Iterable[Any]) -> Any:
    """The onnx.ModelProto of the nodes so far, with its input and outputs."""
    helper = onnx_package().helper
    built = helper.make_graph(graph.nodes, "integer_network", [source], list(outputs), graph.constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(built, opset_imports=opsets, ir_version=IR_VERSION, producer_name="posttrain_lab")


def clip_to(graph: Graph, bits: int) -> None:
    """Append the clamp of int8 codes to those of fewer bits."""
    if bits < 8:
        graph.add("Clip", np.int8(-(2 ** (bits - 1))), np.int8(2 ** (bits - 1) - 1))
