"""Write an `IntegerNetwork` as an ONNX graph of integer operators, so that another runtime can check every code.

That runtime must compute int64 in 64 bits, as the standard says. onnxruntime does. OpenVINO's CPU plugin (2026.4.1) computes it in int32
without a word, and gets 268 of 300 classes wrong: ask a runtime with `posttrain_lab.deployment.runtime.check_runtime` first.

| layer           | ONNX operators                                                                                |
|-----------------|-----------------------------------------------------------------------------------------------|
| Conv2d, Linear  | ConvInteger or MatMulInteger (with the input's zero point), Add bias: the int32 sums          |
| rescaling       | Cast int64, Mul, Add, Div, Sub, Clip, Cast int8: the fixed-point arithmetic of `rescale`      |
| MaxPool, ReLU   | MaxPool and Clip on int8                                                                      |
| ends            | QuantizeLinear; Cast and Mul, or DequantizeLinear                                             |

ONNX has no arithmetic right shift, and its integer division truncates towards zero. Adding 2^e first, a multiple of
2^shift, makes the number positive, where both agree; 2^(e - shift) is taken off afterwards. Every step is exact, so
the codes must be equal, not just near. QLinearConv is left out: it multiplies by a float and rounds ties to even, so
a code next to a tie differs by 1.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .graphs.network import GraphNetwork
from .graphs.onnx import graph_to_onnx
from .integer_network import (
    LARGEST_SUM,
    IntegerAvgPool2d,
    IntegerConv2d,
    IntegerLayer,
    IntegerLinear,
    IntegerMaxPool2d,
    IntegerNetwork,
    IntegerReLU,
)
from .onnx_builder import Graph, clip_to, onnx_model, onnx_package


def to_onnx(network: IntegerNetwork | GraphNetwork, every_layer: bool = False) -> Any:
    """The network as an onnx.ModelProto for another runtime; input "x" float, output "y" float.

    every_layer: also give each layer's codes (the last one: its int32 sums) as an output, under the layer's name in
    `network.layers`, with "layer_" before it. onnxruntime gives the same codes bit for bit. For a `GraphNetwork` of mode "integer"
    these are the layers of `network.graph`; behind a float island codes may differ by one, since two programs round floats in
    different orders.

    Raises ImportError with the pip command when onnx is missing, TypeError for anything but these two kinds of networks,
    ValueError naming a layer or an operator that has no ONNX form here (those of the other modes have none).

    >>> from posttrain_lab.quantization.network import QuantizationConfig, quantize_model
    >>> network = quantize_model(nn.Sequential(nn.Linear(2, 1)), torch.rand(8, 2), QuantizationConfig(mode="integer"))
    >>> [node.op_type for node in to_onnx(network).graph.node]
    ['QuantizeLinear', 'MatMulInteger', 'Add', 'Cast', 'Mul']
    """
    onnx = onnx_package()
    if isinstance(network, GraphNetwork):
        return graph_to_onnx(network, every_layer)
    if not isinstance(network, IntegerNetwork):
        raise TypeError(
            f"to_onnx wants an IntegerNetwork or a GraphNetwork, got {type(network).__name__}; use quantize_model, mode 'integer'."
        )
    graph, outputs = Graph(), []
    graph.add("QuantizeLinear", np.float32(network.input.scale), np.int8(network.input.zero_point))
    clip_to(graph, network.input.bits)
    codes = torch.zeros(1, *network.input_shape, dtype=torch.int8)  # passed through the layers to get the shapes
    for name, layer in network.layers.named_children():
        _add_layer(graph, name, layer, codes.shape[1])
        graph.nodes[-1].output[0] = graph.now = f"layer_{name}"
        codes = layer(codes)
        kind = onnx.helper.np_dtype_to_tensor_dtype(codes.numpy().dtype)
        outputs.append(onnx.helper.make_tensor_value_info(graph.now, kind, ["n", *codes.shape[1:]]))
    _add_end(graph, network)
    outputs = outputs if every_layer else []
    real = onnx.TensorProto.FLOAT
    source = onnx.helper.make_tensor_value_info("x", real, ["n", *network.input_shape])
    outputs = [onnx.helper.make_tensor_value_info("y", real, ["n", *codes.shape[1:]]), *outputs]
    return onnx_model(graph, source, outputs)


def _add_end(graph: Graph, network: IntegerNetwork) -> None:
    if network.output is not None:
        graph.add("DequantizeLinear", np.float32(network.output.scale), np.int8(network.output.zero_point), output="y")
        return
    last = network.layers[-1]
    graph.add("Cast", to=onnx_package().TensorProto.FLOAT)
    scale = network.sum_scale.numpy()
    graph.add("Mul", scale.reshape(-1, 1, 1) if isinstance(last, IntegerConv2d) else scale, output="y")


def _add_layer(graph: Graph, name: str, layer: nn.Module, channels: int) -> None:
    if isinstance(layer, IntegerConv2d):
        left, right, top, bottom = layer.conv.pads
        shape = {"strides": layer.conv.stride, "dilations": layer.conv.dilation, "group": layer.conv.groups}
        weight = layer.weight_codes().numpy()
        graph.add("ConvInteger", weight, np.int8(layer.x.zero_point), pads=[top, left, bottom, right], **shape)
        _add_finish(graph, layer, (-1, 1, 1))
    elif isinstance(layer, IntegerLinear):
        graph.add("MatMulInteger", layer.weight_codes().T.numpy(), np.int8(layer.x.zero_point))
        _add_finish(graph, layer, (-1,))
    elif isinstance(layer, IntegerMaxPool2d):
        pads = [*layer.pad, *layer.pad]
        graph.add("MaxPool", kernel_shape=layer.size, strides=layer.step, pads=pads, dilations=layer.spread)
    elif isinstance(layer, IntegerAvgPool2d):
        _add_average(graph, layer, channels)
    elif isinstance(layer, IntegerReLU):
        graph.add("Clip", np.int8(layer.zero_point), np.int8(127))
    elif isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1):
        graph.add("Flatten", axis=1)
    else:
        raise ValueError(f"to_onnx has no form for {layer} at '{name}'; take it out of the network before exporting.")


def _column(values: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return values.numpy().reshape(shape)


def _add_finish(graph: Graph, layer: IntegerLayer, shape: tuple[int, ...]) -> None:
    """Bias, then the arithmetic of `rescale`, zero point and clamp."""
    plain = layer.bias + layer.x.zero_point * layer.weight_codes().flatten(1).sum(1, dtype=torch.int32)
    graph.add("Add", _column(plain, shape))  # the operators subtract the zero point themselves
    if layer.y is None:
        if layer.relu:
            graph.add("Clip", np.int32(0), np.int32(2**31 - 1))
        return
    multiplier, shift = layer.multiplier.long(), layer.shift.long()
    exponent = shift.clamp_min((LARGEST_SUM * int(multiplier.max())).bit_length())
    one = torch.ones_like(shift)
    low, high = layer.limits()
    graph.add("Cast", to=onnx_package().TensorProto.INT64)
    graph.add("Mul", _column(multiplier, shape))
    graph.add("Add", _column((one << exponent) + (one << (shift - 1)), shape))
    graph.add("Div", _column(one << shift, shape))
    graph.add("Sub", _column((one << (exponent - shift)) - layer.y.zero_point, shape))
    graph.add("Clip", np.int64(low), np.int64(high))
    graph.add("Cast", to=onnx_package().TensorProto.INT8)


def _add_average(graph: Graph, layer: IntegerAvgPool2d, channels: int) -> None:
    """floor((2 sum + count) / (2 count)): sums by a convolution of ones, made positive before the division."""
    count = layer.size[0] * layer.size[1]
    graph.add("ConvInteger", np.ones((channels, 1, *layer.size), np.int8), strides=layer.step, group=channels)
    graph.add("Mul", np.int32(2))
    graph.add("Add", np.int32(count + 2 * count * 128))
    graph.add("Div", np.int32(2 * count))
    graph.add("Sub", np.int32(128))
    graph.add("Cast", to=onnx_package().TensorProto.INT8)
