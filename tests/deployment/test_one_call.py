"""A network's forward as one compiled call: the bits of its layers, and its layers where that cannot be."""

import copy
import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment import one_call
from posttrain_lab.deployment.one_call import in_one_call
from posttrain_lab.deployment.operations import operations
from posttrain_lab.deployment.tables import network_tables
from posttrain_lab.measure import using_threads
from posttrain_lab.metrics import macs
from posttrain_lab.quantization import IntegerNetwork, QuantizationConfig, quantize_model
from tests.deployment.networks import random_network, shipped

INTEGER = QuantizationConfig(mode="integer")


@torch.no_grad()
def by_layers(network, images):
    """As `forward` was before there was one call."""
    if isinstance(network, IntegerNetwork):
        return network.dequantize_output(network.integer(network.quantize_input(images)))
    return network.graph(images)


def check_exact(network, images):
    got, want = in_one_call(network, images), by_layers(network, images)
    assert got is not None
    assert torch.equal(got, want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
def test_shipped_networks_are_exact(name):
    check_exact(shipped(name), load_fashion().validation.images[:60])


@pytest.mark.parametrize("seed", range(9))
def test_random_chains_and_graphs_are_exact(seed):
    network, images = random_network(seed)
    check_exact(network, images[:12])


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e3, 1e30])
def test_inputs_far_from_the_calibration_are_exact(scale):
    images = scale * torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    images[1, 0, 3, 4], images[2, 0, 5, 6] = float("inf"), -float("inf")
    check_exact(shipped("fashion_cnn"), images)


def test_ties_and_neighbours_of_ties_are_rounded_as_by_quantize():
    network = quantize_model(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1)), torch.rand(8, 1, 16, 16), INTEGER)
    middles = (torch.arange(-300, 300).float() + 0.5) * network.input.scale
    near = torch.cat([middles, middles.nextafter(torch.tensor(torch.inf)), middles.nextafter(torch.tensor(-torch.inf))])
    check_exact(network, F.pad(near, (0, 8 * 256 - len(near))).reshape(8, 1, 16, 16))


@pytest.mark.parametrize("last", [nn.Conv2d(3, 2, 1), nn.AvgPool2d(2), nn.Sequential(nn.AvgPool2d(4), nn.Flatten())])
def test_what_a_network_may_end_with(last):
    layers = [nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), *(last if isinstance(last, nn.Sequential) else [last])]
    images = torch.randn(9, 2, 4, 4)
    check_exact(quantize_model(nn.Sequential(*layers), images, INTEGER), images)


def test_rows_of_features():
    images = torch.randn(20, 7)
    check_exact(quantize_model(nn.Sequential(nn.Linear(7, 70), nn.ReLU(), nn.Linear(70, 3)), images, INTEGER), images)


def test_two_threads_give_the_same(monkeypatch):
    images = load_fashion().validation.images[:60]
    want = by_layers(shipped("fashion_cnn"), images)
    with using_threads(2):
        assert torch.equal(in_one_call(shipped("fashion_cnn"), images), want)
        images[-1, 0, 0, 0] = torch.nan
        assert in_one_call(shipped("fashion_cnn"), images) is None


def small():
    """A network of its own, with its images."""
    torch.manual_seed(1)
    images = torch.rand(6, 1, 6, 6)
    layers = nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    return quantize_model(nn.Sequential(*layers), images, INTEGER), images


def test_forward_uses_it(monkeypatch):
    network, images = small()
    monkeypatch.setattr(one_call, "in_one_call", lambda network, x: torch.full((len(x), 2), 42.0))
    assert (network(images) == 42).all()
    assert (shipped("fashion_resnet")(torch.zeros(3, 1, 28, 28)) == 42).all()


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(2, 1, 6, 6, dtype=torch.float64),
        torch.rand(2, 1, 6, 12)[..., ::2],
        torch.rand(2, 1, 7, 6),
        torch.rand(0, 1, 6, 6),
        torch.rand(1, 6, 6),
        torch.tensor(1.0),
        torch.full((2, 1, 6, 6), torch.nan),
        nn.Parameter(torch.rand(2, 1, 6, 6)),
        "images",
    ],
)
def test_other_inputs_are_left_to_the_layers(images):
    assert in_one_call(small()[0], images) is None


def test_nan_is_named_as_before():
    with pytest.raises(ValueError, match="quantize wants numbers in x, got NaN"):
        shipped("fashion_cnn")(torch.full((1, 1, 28, 28), torch.nan))


class Wavy(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.last(F.hardswish(self.first(x)).mean((2, 3)))


def test_networks_without_tables_are_left_to_their_layers():
    images = torch.rand(9, 1, 6, 6)
    network = quantize_model(Wavy(), images, INTEGER)
    assert in_one_call(network, images) is None
    assert torch.equal(network(images), by_layers(network, images))


def test_large_networks_are_left_to_their_layers(monkeypatch):
    network, images = small()
    monkeypatch.setattr(one_call, "MOST_MACS", operations(network).macs - 1)
    assert in_one_call(network, images) is None


def test_a_pooling_that_no_block_holds_is_named():
    images = torch.rand(4, 1, 20, 20)
    network = quantize_model(nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(20), nn.Flatten()), images, INTEGER)
    with pytest.raises(ValueError, match="no kernel for '0'"):
        network_tables(operations(network))
    assert torch.equal(network(images), by_layers(network, images))


def test_a_hook_on_a_layer_sees_the_layer():
    network, images = small()
    assert in_one_call(network, images) is not None
    seen = []
    hook = network.layers[1].register_forward_hook(lambda layer, inputs, output: seen.append(output))
    assert in_one_call(network, images) is None
    network(images)
    assert [tuple(one.shape) for one in seen] == [(6, 3, 2, 2)]
    hook.remove()
    assert in_one_call(network, images) is not None


def test_a_hook_before_the_first_call_sees_only_the_images():
    network, images = small()
    assert macs(network, images[:1]) == 3 * 16 * 9 + 24
    assert in_one_call(network, images) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.codes.neg_(),
        lambda layer: layer.register_buffer("bias", layer.bias + 1000),
        lambda layer: layer.load_state_dict({**layer.state_dict(), "shift": layer.shift + 1}),
        lambda layer: setattr(layer, "y", replace(layer.y, bits=6)),
        lambda layer: setattr(layer, "finish", lambda sums: torch.ones_like(sums, dtype=torch.int8)),
    ],
)
def test_a_network_that_was_changed_gives_what_it_is_now(change):
    network, images = small()
    before = network(images)
    change(network.layers[0])
    want = by_layers(network, images)
    assert not torch.equal(want, before)
    assert torch.equal(network(images), want)


def test_another_layer_and_another_grid():
    network, images = small()
    network(images)
    network.layers[-1] = copy.deepcopy(network.layers[-1])
    network.layers[-1].bias += 10_000
    check_exact(network, images)
    network.input = type(network.input)(network.input.scale / 2, network.input.zero_point, network.input.bits)
    check_exact(network, images)


def test_copies_and_saved_networks_have_tables_of_their_own():
    network, images = small()
    network(images)
    other = copy.deepcopy(network)
    other.layers[0].bias += 5000
    check_exact(other, images)
    check_exact(network, images)
    assert not torch.equal(other(images), network(images))


def test_a_network_is_not_kept_alive():
    network, images = small()
    network(images)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
