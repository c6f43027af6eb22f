"""onnxruntime computes the same network from the ONNX file: the same codes, bit for bit, behind every layer."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from posttrain_lab.data import load_fashion
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization.integer_network import IntegerConv2d, IntegerLayer, IntegerLinear, IntegerNetwork
from posttrain_lab.quantization.network import QuantizationConfig, quantize_model
from posttrain_lab.quantization.onnx import to_onnx
from tests.quantization.nets import images, small_cnn

pytestmark = pytest.mark.slow


def run(model: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x}), strict=True))


def integer(model: nn.Sequential, x: torch.Tensor, **config: object) -> IntegerNetwork:
    network = quantize_model(model, x, QuantizationConfig(mode="integer", **config))  # type: ignore[arg-type]
    assert isinstance(network, IntegerNetwork)
    return network


def pools(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same", dilation=2),
        nn.AvgPool2d((2, 3), (1, 2)),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Flatten(),
        nn.Linear(48, 6),
        nn.Flatten(),
    )


NETWORKS = {
    "chain": (small_cnn(), {}),
    "4 bits": (small_cnn(1), {"bits": 4, "rounding": "gptq"}),
    "5-bit activations": (small_cnn(2), {"activation_bits": 5}),
    "pools, int8 at the end": (pools(), {}),
    "convolution at the end": (small_cnn()[0][:1], {}),
    "ReLU at the end": (nn.Sequential(nn.Flatten(), nn.Linear(240, 7), nn.ReLU()), {}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_equal_bit_for_bit(name: str) -> None:
    model, config = NETWORKS[name]
    network = integer(model, images(), **config)
    x = 1.5 * images(30, seed=1) - 0.2  # beyond the calibrated range on both sides
    exported = to_onnx(network, every_layer=True)
    onnx.checker.check_model(exported, full_check=True)
    got, codes = run(exported, x.numpy()), network.quantize_input(x)
    for layer_name, layer in network.layers.named_children():
        codes = layer(codes)
        assert np.array_equal(codes.numpy(), got[f"layer_{layer_name}"]), layer_name
    assert np.array_equal(network(x).numpy(), got["y"])


@pytest.mark.parametrize("sign", [-1, 1])
def test_extremes_are_exact(sign: int) -> None:
    """All weights and inputs at their ends: 16-bit sums of pairs would saturate here."""
    layer = nn.Linear(1024, 3)
    layer.weight.data[:], layer.bias.data[:] = sign, 1.0
    x = torch.ones(2, 1024)
    x[0] = 0
    network = integer(nn.Sequential(layer), x)
    got = run(to_onnx(network, every_layer=True), x.numpy())
    assert got["layer_0"][1].tolist() == [255 * 127 * 1024 * sign + 255 * 127] * 3
    assert np.array_equal(network(x).numpy(), got["y"])


def qlinear(layer: IntegerLayer, codes: np.ndarray) -> np.ndarray:
    """The layer by onnxruntime's own quantized operators, which multiply by a float and round ties to even."""
    assert layer.y is not None
    scale = (np.array(layer.sum_scale) / layer.x.scale).astype(np.float32)
    weight = layer.weight_codes().numpy()
    plain = layer.bias + layer.x.zero_point * layer.weight_codes().flatten(1).sum(1, dtype=torch.int32)
    constants = {
        "xs": np.float32(layer.x.scale),
        "xz": np.int8(layer.x.zero_point),
        "w": weight if isinstance(layer, IntegerConv2d) else weight[:, :, None, None],
        "ws": scale,
        "wz": np.zeros(len(scale), np.int8),
        "ys": np.float32(layer.y.scale),
        "yz": np.int8(layer.y.zero_point),
        "b": plain.numpy(),
    }
    attributes = {}
    if isinstance(layer, IntegerConv2d):
        left, right, top, bottom = layer.conv.pads
        attributes = {"pads": [top, left, bottom, right], "strides": layer.conv.stride, "group": layer.conv.groups}
    node = helper.make_node("QLinearConv", ["x", *constants], ["y"], **attributes)
    shape = codes.shape if codes.ndim == 4 else (*codes.shape, 1, 1)
    graph = helper.make_graph(
        [node],
        "one_layer",
        [helper.make_tensor_value_info("x", onnx.TensorProto.INT8, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT8, [None] * 4)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    y = run(model, codes.reshape(shape))["y"]
    y = y if codes.ndim == 4 else y[:, :, 0, 0]
    return np.maximum(y, layer.y.zero_point) if layer.relu else y


def compare_with_qlinear(network: IntegerNetwork, x: torch.Tensor) -> None:
    """At most one code apart, and that only beside a tie.

    Our multiplier is the exact ratio to 2^-31; theirs is float32, so a product p = sums * ratio is off by at most
    |p| * 2^-22 (three float32 roundings and a product); inside the codes |p| <= 255, so below 1e-4. The two can only
    differ where p is that near to a half: one code, and 2e-4 of all codes if p falls evenly.
    """
    codes = network.quantize_input(x)
    for name, layer in network.layers.named_children():
        if isinstance(layer, IntegerConv2d | IntegerLinear) and layer.y is not None:
            ours = layer(codes).numpy().astype(int)
            apart = np.abs(ours - qlinear(layer, codes.contiguous().numpy()))
            assert apart.max() <= 1, name
            assert (apart == 0).mean() >= 0.999, name
        codes = layer(codes)


def test_one_code_at_most_from_the_quantized_operators() -> None:
    compare_with_qlinear(integer(small_cnn(), images()), images(40, seed=2))


@pytest.mark.slow
def test_the_fashion_network_is_equal() -> None:
    split = load_fashion()
    network = integer(load_pretrained("fashion_cnn"), split.calibration.images)
    x = split.test.images[:2000]
    got = run(to_onnx(network, every_layer=True), x.numpy())
    codes = network.quantize_input(x)
    for name, layer in network.layers.named_children():
        codes = layer(codes)
        assert np.array_equal(codes.numpy(), got[f"layer_{name}"]), name
    assert np.array_equal(network(x).numpy(), got["y"])
    compare_with_qlinear(network, x[:200])


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    network = integer(nn.Sequential(nn.Linear(2, 2)), torch.rand(4, 2))
    with pytest.raises(TypeError, match="to_onnx wants an IntegerNetwork or a GraphNetwork, got Linear"):
        to_onnx(nn.Linear(2, 2))  # type: ignore[arg-type]
    flat = integer(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(2), nn.Linear(80, 2)), images())
    with pytest.raises(ValueError, match=r"to_onnx has no form for Flatten.* at '1'"):
        to_onnx(flat)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "posttrain-lab\[peers\]"'):
        to_onnx(network)
