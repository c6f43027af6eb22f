"""A network's operations give what torch gives, code by code; what has no integer form is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.operations import expected, input_codes, operations, run
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from tests.deployment.networks import random_network, shipped

INTEGER = QuantizationConfig(mode="integer")


def check_exact(network, images, pool=True):
    program = operations(network, pool)
    result = run(program, input_codes(program, images).numpy())[program.operations[-1].output]
    want = expected(network, images).numpy()
    assert np.array_equal(result.reshape(want.shape), want)
    return program


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
@pytest.mark.parametrize("pool", [True, False])
def test_shipped_networks_are_exact(name, pool):
    images = load_fashion().validation.images[:60]
    program = check_exact(shipped(name), images, pool)
    sums = run(program, input_codes(program, images).numpy())[program.operations[-1].output].reshape(60, -1)
    assert torch.equal(torch.from_numpy(sums).float() * torch.tensor(program.output_scale), shipped(name)(images))


@pytest.mark.parametrize("seed", range(9))
def test_random_chains_and_graphs_are_exact(seed):
    check_exact(*random_network(seed))


def test_multiplications_of_fashion_cnn():
    assert operations(shipped("fashion_cnn"), pool=False).macs == 4_289_536
    assert operations(shipped("fashion_cnn")).macs == 3_750_400


def test_a_network_that_ends_with_codes():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten())
    images = torch.rand(9, 1, 5, 5)
    network = quantize_model(model, images, INTEGER)
    program = check_exact(network, images)
    assert (program.result.bits, len(program.output_scale)) == (8, 3)


def test_an_input_of_another_size():
    with pytest.raises(ValueError, match=r"wants images \[1, 28, 28\], got \[1, 14, 14\]"):
        input_codes(operations(shipped("fashion_cnn")), torch.zeros(1, 1, 14, 14))


def test_an_input_of_another_type():
    with pytest.raises(TypeError):
        input_codes(operations(shipped("fashion_cnn")), torch.zeros(1, 1, 28, 28, dtype=torch.int64))


@pytest.mark.parametrize("network", [nn.Linear(2, 2), None, "fashion_cnn"])
def test_another_network(network):
    with pytest.raises(TypeError, match="use quantize_model, mode 'integer'"):
        operations(network)


class Odd(nn.Module):
    def __init__(self, odd):
        super().__init__()
        self.first, self.last, self.odd = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 2), odd

    def forward(self, x):
        return self.last(self.odd(self.first(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        (lambda x: x * torch.sigmoid(x), "IntegerProduct|IntegerTable"),
        (lambda x: F.layer_norm(x, x.shape[1:]), "layer_norm"),
        (lambda x: torch.cat([x[:, :2], x[:, 2:]], 1), "slice"),
        (lambda x: F.hardswish(x), "IntegerTable"),
    ],
)
def test_what_has_no_integer_form_is_named(odd, named):
    network = quantize_model(Odd(odd), torch.rand(8, 1, 6, 6), INTEGER)
    with pytest.raises(ValueError, match=f"operations has no integer form for .*(?:{named})"):
        operations(network)


class Viewed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.last(F.adaptive_avg_pool2d(F.relu(self.first(x)), 1).view(x.size(0), -1))


def test_a_view_that_reads_the_size_of_the_batch():
    images = torch.rand(9, 1, 6, 6)
    check_exact(quantize_model(Viewed(), images, INTEGER), images)


def test_float_simulations_are_refused():
    network = quantize_model(Odd(lambda x: x + 1), torch.rand(8, 1, 6, 6), QuantizationConfig(mode="static"))
    with pytest.raises(ValueError, match="no integer form for GridRounding"):
        operations(network)


def test_a_flatten_at_the_end_is_named():
    network = quantize_model(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()), torch.rand(4, 1, 7, 7), INTEGER
    )
    with pytest.raises(ValueError, match="got a Flatten"):
        operations(network)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("shift", 63, "shifts in 1..62, got"), ("shift", 0, "shifts in 1..62, got 0"), ("bias", 2**31, "32 bits, got 2147483648")],
)
def test_numbers_that_no_device_can_hold_are_named(name, value, told):
    operation = operations(shipped("fashion_cnn")).operations[0]
    values = operation.array(name).copy()
    values[3] = value
    with pytest.raises(ValueError, match=rf"{told}.* at '{operation.name}'"):
        replace(operation, **{name: values})


def test_shifts_up_to_62_are_exact():
    operation = operations(shipped("fashion_cnn")).operations[0]
    assert replace(operation, shift=np.full_like(operation.array("shift"), 62)).array("shift").max() == 62
