"""A float chain of layers as ONNX, without torch's exporter, which needs another package: to compare with what integers cost."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from posttrain_lab.quantization import fold_model
from posttrain_lab.quantization.onnx_builder import Graph, onnx_model, onnx_package


def float_onnx(model: nn.Sequential) -> Any:
    """The model in eval mode as an onnx.ModelProto: input "x" [n, ...], output "y" [n, classes]; batch norms folded.

    Raises ImportError with the pip command when onnx is missing, ValueError naming a layer that has no form here.
    """
    graph, kind, info = Graph(), onnx_package().TensorProto.FLOAT, onnx_package().helper.make_tensor_value_info
    layers = [one for one in fold_model(model).eval().children() if not isinstance(one, nn.Dropout | nn.Identity)]
    for layer in layers:
        if type(layer) not in FORMS:
            raise ValueError(f"float_onnx has no form for a {type(layer).__name__}; leave it out of what is exported.")
        FORMS[type(layer)](graph, layer)
    graph.add("Identity", output="y")
    return onnx_model(
        graph, info("x", kind, ["n", *[None] * (3 if isinstance(layers[0], nn.Conv2d) else 1)]), [info("y", kind, ["n", None])]
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().numpy()


def _conv(graph: Graph, layer: Any) -> None:
    (top, left), pair = layer.padding, [_array(one) for one in (layer.weight, layer.bias) if one is not None]
    sizes = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "dilations": layer.dilation}
    graph.add("Conv", *pair, pads=[top, left, top, left], group=layer.groups, **sizes)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _pool(graph: Graph, layer: Any) -> None:
    graph.add("MaxPool", kernel_shape=_pair(layer.kernel_size), strides=_pair(layer.stride), pads=[*_pair(layer.padding)] * 2)


def _linear(graph: Graph, layer: Any) -> None:
    graph.add("Gemm", *[_array(one) for one in (layer.weight, layer.bias) if one is not None], transB=1)


FORMS: dict[type[nn.Module], Callable[[Graph, Any], object]] = {
    nn.Conv2d: _conv,
    nn.ReLU: lambda graph, layer: graph.add("Relu"),
    nn.MaxPool2d: _pool,
    nn.Flatten: lambda graph, layer: graph.add("Flatten"),
    nn.Linear: _linear,
}
