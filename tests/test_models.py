"""The shipped networks do what their logs say."""

import re

import pytest
import torch

from posttrain_lab.data import load_fashion, load_mnist
from posttrain_lab.data.files import FILES
from posttrain_lab.models import PRETRAINED, load_pretrained

pytestmark = pytest.mark.slow


def hits_on_test(name: str) -> int:
    model, test = load_pretrained(name), load_fashion().test
    with torch.inference_mode():
        return sum(
            int((model(x).argmax(1) == y).sum()) for x, y in zip(test.images.split(500), test.labels.split(500), strict=True)
        )


@pytest.mark.parametrize("name", [name for name in PRETRAINED if name.startswith("fashion")])
def test_shipped_network_reaches_its_logged_accuracy(name):
    """What the log says on the whole test set; another CPU may round a few close calls otherwise (10 of 10,000 images allowed)."""
    log = (FILES / f"{name}.log").read_text(encoding="utf-8")
    logged = int(re.search(r"test: (\d+) of 10000", log)[1])
    assert hits_on_test(name) == pytest.approx(logged, abs=10)
    assert logged >= (8800 if name == "fashion_vit" else 9190)


def test_mnist_network_reaches_its_logged_accuracy():
    """98 % of the 1,000 test images; another CPU may round a few close calls otherwise (3 images allowed)."""
    logged = int(re.search(r"test: (\d+) of 1000", (FILES / "mnist_cnn.log").read_text(encoding="utf-8"))[1])
    test = load_mnist().test
    with torch.inference_mode():
        hits = int((load_pretrained("mnist_cnn")(test.images).argmax(1) == test.labels).sum())
    assert hits == pytest.approx(logged, abs=3)
    assert logged >= 970


def test_pretrained_is_in_eval_mode():
    assert not any(module.training for module in load_pretrained().modules())


def test_unknown_network_is_named():
    with pytest.raises(ValueError, match=r"wants one of fashion_cnn, fashion_cnn_60k.*, got 'lenet'"):
        load_pretrained("lenet")


@pytest.mark.parametrize("build", dict.fromkeys(PRETRAINED.values()))
def test_network_takes_another_number_of_classes(build):
    assert build(classes=3)(torch.zeros(2, 1, 28, 28)).shape == (2, 3)


def test_the_shipped_networks_take_at_most_two_megabytes():
    assert sum((FILES / f"{name}.safetensors").stat().st_size for name in PRETRAINED) <= 2_000_000
