"""A runtime that is known to compute int64 in int32 is told apart; should it learn 64 bits one day, this test says so."""

import os

import numpy as np
import pytest

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.runtime import check_runtime
from posttrain_lab.quantization import to_onnx
from tests.deployment.networks import shipped

pytestmark = pytest.mark.embedded


def start(model: bytes):
    if not os.environ.get("CI"):
        pytest.importorskip("openvino", reason="OpenVINO is not here: pip install openvino")
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU")
    return lambda inputs: list(compiled(inputs).values())


def test_openvino_is_told_apart_before_its_answers_are_believed():
    with pytest.raises(RuntimeError, match="does not compute int64 as ONNX says"):
        check_runtime(start)
    images, network = load_fashion().validation.images[:100], shipped("fashion_cnn")
    found = start(to_onnx(network).SerializeToString())({"x": images.numpy()})[0]
    wrong = int((np.argmax(found, 1) != network(images).argmax(1).numpy()).sum())
    print(f"OpenVINO: {wrong} of 100 classes differ")
    assert wrong > 50
