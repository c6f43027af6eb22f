"""The ONNX file of an integer network in onnxruntime-web: equal bit for bit, as in onnxruntime."""

import os

import numpy as np
import pytest

from posttrain_lab.data import load_fashion
from posttrain_lab.quantization import to_onnx
from tests.deployment.networks import shipped

from .ort_web import here, run_ort_web

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(not os.environ.get("CI") and not here(), reason="onnxruntime-web is not here: docs/deployment.md"),
]


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
def test_a_thousand_images(name):
    images, network = load_fashion().validation.images[:1000], shipped(name)
    found, _ = run_ort_web(to_onnx(network).SerializeToString(), images.numpy())
    assert np.array_equal(found, network(images).numpy())
