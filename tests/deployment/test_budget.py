"""Energy, tails and budgets against numbers computed by hand."""

import pytest
import torch

from posttrain_lab.deployment.budget import Facts, energy, fits, tail
from posttrain_lab.deployment.parity import first_difference


def test_energy_by_hand():
    low, high = energy(1000, 800, 80, bits=8, dram=True)
    assert low == pytest.approx(1e-12 * (300 + 400 + 130_000))
    assert high == pytest.approx(1e-12 * (300 + 400 + 260_000))
    assert energy(1000, 800, 80, bits=32, dram=False) == pytest.approx(
        (1e-12 * (4600 + 400 + 2000), 1e-12 * (4600 + 400 + 10_000))
    )


@pytest.mark.parametrize("numbers", [(1, 1, 1, 4, True), (-1, 1, 1, 8, True), (1, -1, 1, 8, True), (1, 1, -1, 8, True)])
def test_numbers_that_are_no_cost(numbers):
    with pytest.raises(ValueError, match="energy wants"):
        energy(*numbers)


def test_tails():
    times = [50.0, *[float(n) for n in range(100, 0, -1)]]
    assert tail(times, warmup=1) == (50.0, 50.0, 99.0)
    assert tail([7.0], warmup=0) == (7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match="more times than its warmup"):
        tail([1.0], warmup=1)


def test_the_best_inside_the_budget():
    a, b, c = Facts("a", 0.9, 10, 5, 1.0, 1.0), Facts("b", 0.9, 9, 5, 1.0, 1.0), Facts("c", 0.95, 11, 5, 1.0, 1.0)
    assert fits([a, b, c], 11, 5, 1.0, 1.0) is c
    assert fits([a, b, c], 10, 5, 1.0, 1.0) is b
    for limits in ((8, 5, 1.0, 1.0), (99, 4, 1.0, 1.0), (99, 5, 0.9, 1.0), (99, 5, 1.0, 0.9)):
        assert fits([a, b, c], *limits) is None


def test_the_first_layer_that_differs():
    ours = {"a": torch.zeros(4, 2), "b": torch.zeros(4, 2), "c": torch.zeros(4, 2)}
    theirs = {"c": torch.ones(4, 2), "b": torch.tensor([[0.0, 0], [0, 0], [0, 1], [0, 0]]), "a": torch.zeros(4, 2)}
    assert first_difference(ours, theirs) == ("b", 0.125, 2)
    assert first_difference(ours, dict(ours)) is None
    nan = {"a": torch.tensor([float("nan")])}
    assert first_difference(nan, nan) == ("a", 1.0, 0)


@pytest.mark.parametrize("theirs", [{}, {"a": torch.zeros(3)}, {"a": torch.zeros(2), "b": torch.zeros(2)}])
def test_layers_that_do_not_match(theirs):
    with pytest.raises(ValueError, match="first_difference wants"):
        first_difference({"a": torch.zeros(2)}, theirs)
