"""Networks of torchvision beside PyTorch's own quantization; all fifteen stand in docs/torchvision.md, made by tests/peers/torchvision_table.py."""

import warnings

import pytest
import torch
from torch import nn

from posttrain_lab.quantization import GraphNetwork, QuantizationConfig, fold_model, quantize_model
from tests.peers.pt2e import pt2e
from tests.peers.torchvision_networks import images, network

pytestmark = pytest.mark.slow
SIZE = 64


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0"])
def test_static_and_integer_are_as_near_as_pytorchs_own(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision's initialisation and torch.export
        model, calibration, x = network(name, SIZE), images(16, SIZE, 1), images(8, SIZE, 2)
        with torch.no_grad():
            want = model(x)
        theirs = float((pt2e(model, calibration, x, dynamic=False) - want).norm())
        for mode in ("static", "integer"):
            quantized = quantize_model(model, calibration, QuantizationConfig(mode=mode))  # type: ignore[arg-type]
            assert isinstance(quantized, GraphNetwork)
            assert quantized.report.share >= 0.95
            assert float((quantized(x) - want).norm()) <= 1.5 * theirs, mode


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_folded_networks_compute_the_same(name: str) -> None:
    model, x = network(name, SIZE), images(2, SIZE, 1)
    folded = fold_model(model, x)
    assert type(folded) is type(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        assert torch.allclose(folded(x), model(x), rtol=1e-3, atol=1e-3 * float(model(x).abs().max()))
