"""Float chains as ONNX against torch, by onnxruntime."""

import pytest
import torch
from torch import nn

from posttrain_lab.deployment.compare import start_onnxruntime
from posttrain_lab.deployment.float_onnx import float_onnx
from posttrain_lab.models import load_pretrained

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def small():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(2, 1),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 4, 3),
    ]
    return nn.Sequential(*layers).eval(), torch.randn(5, 2, 7, 8)


@pytest.mark.parametrize("case", ["fashion_cnn", "small"])
def test_onnxruntime_gives_the_same(case):
    model, x = (load_pretrained("fashion_cnn"), torch.rand(7, 1, 28, 28)) if case == "fashion_cnn" else small()
    session = start_onnxruntime(float_onnx(model).SerializeToString())
    found = torch.tensor(session({"x": x.numpy()})[0])
    torch.testing.assert_close(found, model(x).detach(), rtol=1e-4, atol=1e-4)


def test_other_layers_are_named():
    with pytest.raises(ValueError, match="no form for a Tanh"):
        float_onnx(nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
