"""`auditing.rounding`: the outputs are those of `quantize_model`, the gradients those of its float path."""

import pytest
import torch
from torch import nn

from posttrain_lab.auditing.attribution import gradient_map
from posttrain_lab.auditing.rounding import Rounding, gradients_hidden, rounded_network, straight_through
from posttrain_lab.quantization import QuantizationConfig, quantize_model


def drawn(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)]
        return nn.Sequential(*layers).eval()


MODEL, X, Y = network(), drawn(5, 1, 6, 6), torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("bits", [8, 4])
def test_it_computes_what_quantize_model_does(bits):
    config = QuantizationConfig(bits=bits, activation_bits=bits)
    ours, theirs = rounded_network(MODEL, X, bits, bits), quantize_model(MODEL, X, config)
    assert torch.equal(ours(X), theirs(X))
    assert gradients_hidden(ours, X, Y) == 1.0
    assert gradients_hidden(MODEL, X, Y) == 0.0


@pytest.mark.parametrize("mode", ["static", "dynamic", "weight_only"])
def test_straight_through_keeps_the_outputs_and_passes_gradients(mode):
    quantized = quantize_model(MODEL, X, QuantizationConfig(mode=mode))
    passing = straight_through(quantized)
    assert torch.equal(passing(X), quantized(X))
    found, wanted = gradient_map(passing, X, Y), gradient_map(MODEL, X, Y)
    assert torch.nn.functional.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.9


def test_the_gradient_is_exactly_that_of_the_float_path():
    layers = [Rounding(0.1, 0, 3), nn.Linear(4, 3), Rounding(0.5, 1, 4), nn.Linear(3, 2)]
    passing = straight_through(nn.Sequential(*layers))
    x = 3 * drawn(6, 4)
    found = gradient_map(passing, x, torch.zeros(6, dtype=torch.long))
    wanted = (layers[3].weight[0] @ layers[1].weight).detach().expand(6, 4)
    torch.testing.assert_close(found, wanted)  # also where the grid ends: the float path is not clamped


def test_a_nested_and_a_single_rounding_are_found_and_the_network_is_not_changed():
    inner = nn.Sequential(nn.Linear(4, 4), nn.Sequential(Rounding(0.1, 0, 8)))
    passing = straight_through(inner)
    assert type(inner[1][0]) is Rounding
    assert gradient_map(passing, drawn(2, 4), torch.tensor([0, 1])).abs().min() > 0
    assert torch.equal(straight_through(Rounding(0.1, 0, 8))(X), Rounding(0.1, 0, 8)(X))


def test_bad_input_is_named():
    with pytest.raises(TypeError, match=r"nn\.Module"):
        straight_through(lambda x: x)
    with pytest.raises(ValueError, match="IntegerNetwork"):
        straight_through(quantize_model(MODEL, X, QuantizationConfig(mode="integer")))
