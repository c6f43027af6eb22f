"""One file for another runtime: inference alone, any batch, and the model as it was."""

import pytest
import torch
from torch import nn

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.exported import export
from posttrain_lab.models import load_pretrained
from tests.deployment.networks import shipped


@pytest.fixture(scope="module")
def images():
    return load_fashion().validation.images[:7]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_batch_gives_what_the_model_gives(images, count):
    model = load_pretrained("fashion_cnn")
    program = export(model, images[:count]).module()
    for n in (1, 2, 7):
        assert (program(images[:n]) - model(images[:n])).abs().max() < 1e-5


def test_inference_of_a_model_in_training_that_stays_in_training(images):
    model = load_pretrained("fashion_cnn").train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    program = export(model, images).module()
    assert [model.training, model[0].training, model[1].training] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (program(images) - load_pretrained("fashion_cnn")(images)).abs().max() < 1e-5


def test_what_is_learned_later_is_not_in_the_file(images):
    model = load_pretrained("fashion_cnn")
    want = model(images).detach()
    program = export(model, images).module()
    with torch.no_grad():
        model[0].weight.zero_()
    assert (program(images) - want).abs().max() < 1e-5


def test_integers_become_onnx(images):
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    network = shipped("fashion_cnn")
    session = onnxruntime.InferenceSession(export(network, images[:1]).SerializeToString())
    for n in (1, 2, 7):
        assert torch.equal(torch.from_numpy(session.run(None, {"x": images[:n].numpy()})[0]), network(images[:n]))


@pytest.mark.parametrize(
    ("model", "example", "error", "told"),
    [
        (torch.zeros, torch.zeros(1, 2), TypeError, "export wants model to be an nn.Module"),
        (nn.Linear(2, 1), [0, 1], TypeError, "example to be a Tensor, got list"),
        (nn.Linear(2, 1), torch.zeros(2), ValueError, r"got \[2\]; add the batch's axis"),
        (nn.Linear(2, 1), torch.zeros(0, 2), ValueError, r"with n >= 1, got \[0, 2\]"),
    ],
)
def test_what_cannot_be_exported(model, example, error, told):
    with pytest.raises(error, match=told):
        export(model, example)


def test_an_integer_network_takes_no_other_size():
    with pytest.raises(ValueError, match=r"export wants an example \[n, 1, 28, 28\], got \[1, 1, 27, 28\]"):
        export(shipped("fashion_cnn"), torch.zeros(1, 1, 27, 28))
