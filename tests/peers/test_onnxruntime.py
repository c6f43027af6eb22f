"""onnxruntime runs 16 quantized architectures from their ONNX files: torchvision's fifteen and the course's own convolutional network.

In networks of convolutions every code behind every layer is equal. Behind a layer norm or a softmax, whose floats two programs add
up in different orders, a code next to a tie differs by one, and random weights carry that on; there the outputs are compared with
the error of the quantization itself.
"""

import numpy as np
import pytest
import torch
from torch import nn

from posttrain_lab.data import load_fashion
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import QuantizationConfig, quantize_model, to_onnx
from tests.peers.torchvision_networks import NAMES, images, network
from tests.quantization.graphs.test_graphs import relative
from tests.quantization.graphs.test_graphs_onnx import codes_apart, run

pytestmark = pytest.mark.peers
WITH_ISLANDS = ("convnext_tiny", "swin_t", "vit_b_16")
INTEGER = QuantizationConfig(mode="integer")


def quantized(name: str, size: int = 64) -> tuple[nn.Module, nn.Module]:
    model = network(name, size)
    return model, quantize_model(model, images(4, size, 0), INTEGER)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITH_ISLANDS])
def test_every_code_is_equal(name):
    _, integer = quantized(name)
    apart, y = codes_apart(integer, images(2, 64, 7))
    assert len(apart) > 15
    assert set(apart.values()) == {0.0}
    assert y == 0


@pytest.mark.parametrize("name", WITH_ISLANDS)
def test_outputs_with_float_islands_are_nearer_than_the_float_network(name):
    model, integer = quantized(name)
    x = images(2, 64, 7)
    _, y = codes_apart(integer, x)
    with torch.no_grad():
        assert y < relative(integer(x), model(x))


def test_the_courses_own_network():
    split = load_fashion()
    integer = quantize_model(load_pretrained("fashion_cnn"), split.calibration.images, INTEGER)
    x = split.test.images[:64]
    assert np.array_equal(run(to_onnx(integer), x)["y"], integer(x).numpy())
