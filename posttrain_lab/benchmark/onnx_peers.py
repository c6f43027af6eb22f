"""onnxruntime in a race: graphs of a few operators on this processor, on as many threads as torch uses now."""

from typing import Any

import numpy as np
import torch

from .peers import Workload, output_scale
from .problems import IMAGE_SCALE, Problem

OPSET, IR_VERSION = 17, 8
Arrays = dict[str, np.ndarray]
Node = tuple[str, str, str, dict[str, Any]]  # operator, names of inputs, names of outputs, attributes


def _call(nodes: list[Node], constants: Arrays, inputs: Arrays, dtype: type) -> Workload:
    """A session of the graph, whose result is `y` of this dtype."""
    import onnx
    import onnxruntime

    helper, number = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype
    made = [helper.make_node(op, fed.split(), given.split(), **more) for op, fed, given, more in nodes]
    fed = [helper.make_tensor_value_info(name, number(part.dtype), part.shape) for name, part in inputs.items()]
    y = helper.make_tensor_value_info("y", number(np.dtype(dtype)), None)
    kept = [onnx.numpy_helper.from_array(np.ascontiguousarray(part), name) for name, part in constants.items()]
    graph = helper.make_graph(made, "race", fed, [y], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)[0]


def onnx_matmul(p: Problem) -> Workload:
    """MatMulInteger, int8 by int8."""
    a, b = p.codes
    return _call([("MatMulInteger", "a b", "y", {})], {"b": b.T.numpy()}, {"a": a.numpy()}, np.int32)


def onnx_linear(p: Problem) -> Workload:
    """MatMulInteger between dynamic quantization and scaling, as onnxruntime's quantizer writes it and fuses it."""
    nodes: list[Node] = [
        ("DynamicQuantizeLinear", "x", "codes scale zero", {}),
        ("MatMulInteger", "codes b zero", "sums", {}),
        ("Cast", "sums", "floats", {"to": 1}),
        ("Mul", "scale b_scale", "scales", {}),
        ("Mul", "floats scales", "product", {}),
        ("Add", "product bias", "y", {}),
    ]
    constants = {"b": p.int8.rows().T.numpy(), "b_scale": p.int8.scale.numpy(), "bias": p.bias.numpy()}
    return _call(nodes, constants, {"x": p.x.numpy()}, np.float32)


def _raised_images(p: Problem) -> np.ndarray:
    """uint8 [n, c, h, w] with zero point 128."""
    return (p.images.permute(0, 3, 1, 2).to(torch.int16) + 128).to(torch.uint8).contiguous().numpy()


def onnx_conv_integer(p: Problem) -> Workload:
    """ConvInteger: int32 sums."""
    constants = {"w": p.conv_weight.filters().numpy(), "zero": np.array(128, np.uint8)}
    pads = {"pads": [p.shape.padding] * 4}
    return _call([("ConvInteger", "x w zero", "y", pads)], constants, {"x": _raised_images(p)}, np.int32)


def onnx_qlinear_conv(p: Problem) -> Workload:
    """QLinearConv: uint8 in, uint8 out, a scale for each filter."""
    weight, step = p.conv_weight, output_scale(p)
    constants = {
        "x_scale": np.array(IMAGE_SCALE, np.float32),
        "zero": np.array(128, np.uint8),
        "w": weight.filters().numpy(),
        "w_scale": p.filter_scale.numpy(),
        "w_zero": np.zeros(p.n, np.int8),
        "y_scale": np.array(step, np.float32),
        "bias": torch.round(p.bias / (IMAGE_SCALE * p.filter_scale)).to(torch.int32).numpy(),
    }
    names = "x x_scale zero w w_scale w_zero y_scale zero bias"
    return _call([("QLinearConv", names, "y", {"pads": [p.shape.padding] * 4})], constants, {"x": _raised_images(p)}, np.uint8)
