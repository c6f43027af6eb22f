"""Sensitivity curves, and budgets spread by them: never above the budget, never worse than even shares, optimal on convex curves."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.data import Dataset, Split, load_fashion
from posttrain_lab.metrics import macs
from posttrain_lab.models import fashion_cnn
from posttrain_lab.pruning import allocate_cost, allocate_sparsity, layer_costs, magnitude_mask, predicted_loss, sensitivity_scan

ACCURACY = st.lists(st.floats(0, 1), min_size=2, max_size=8)
LAYERS = st.lists(st.tuples(ACCURACY, st.integers(1, 10_000)), min_size=1, max_size=5)


def small_split() -> Split:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(60, 1, 4, 4, generator=rng)
    part = Dataset(images, (images.flatten(1).sum(1) > 8).long(), ("dark", "light"))
    nothing = Dataset(torch.full((1, 1, 4, 4), float("nan")), torch.zeros(1, dtype=torch.int64), ("dark", "light"))
    return Split("small", part, part, part, nothing)


def small_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 2)).train()


def test_scan_by_hand_and_nothing_is_touched():
    """Each layer alone, pruned and measured by a loop of its own; the test part would raise."""
    model, split = small_model(), small_split()
    before, modes = {k: v.clone() for k, v in model.state_dict().items()}, [m.training for m in model.modules()]
    curves = sensitivity_scan(model, split, [0.0, 0.5, 1.0], progress=False)
    assert list(curves) == ["0", "4"]
    for name, curve in curves.items():
        for share, got in zip((0.0, 0.5, 1.0), curve, strict=True):
            trial = small_model().eval()
            layer = trial.get_submodule(name)
            layer.weight.data *= magnitude_mask(layer.weight, share)
            assert got == pytest.approx(
                (trial(split.validation.images).argmax(1) == split.validation.labels).double().mean().item()
            )
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes


def test_scan_names_what_is_wrong():
    with pytest.raises(TypeError, match="wants a Split, got list"):
        sensitivity_scan(small_model(), [], [0.5])
    with pytest.raises(ValueError, match=r"sparsity in \[0, 1\], got 1.5"):
        sensitivity_scan(small_model(), small_split(), [1.5])
    with pytest.raises(ValueError, match="Linear or Conv2d layers to prune, got none"):
        sensitivity_scan(nn.Sequential(nn.Flatten()), small_split(), [0.5])


@settings(max_examples=60, deadline=None)
@given(LAYERS, st.just(0.0) | st.floats(1e-3, 1))
def test_budget_is_kept_and_never_worse_than_even(layers, share):
    curves = {str(i): curve for i, (curve, _) in enumerate(layers)}
    sizes = {str(i): size for i, (_, size) in enumerate(layers)}
    total = sum(sizes.values())
    budget = share * total
    found = allocate_sparsity(curves, sizes, budget)
    kept = sum(sizes[name] * (1 - s) for name, s in found.items())
    assert kept <= budget
    assert kept >= 0.999 * budget - 1e-6
    assert all(0 <= s <= 1 for s in found.values())
    assert predicted_loss(curves, found) <= predicted_loss(curves, dict.fromkeys(curves, 1 - share)) + 1e-6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), min_size=2, max_size=3), st.floats(0.1, 0.9))
def test_optimal_on_convex_curves(steps, share):
    """Losses that grow ever faster: no point of a fine grid within the budget predicts less."""
    curves = {}
    for i, lost in enumerate(steps):
        curves[str(i)] = [1.0 - sum(sorted(lost)[:j]) for j in range(5)]
    sizes = {name: 10 * (int(name) + 1) for name in curves}
    budget = share * sum(sizes.values())
    found = predicted_loss(curves, allocate_sparsity(curves, sizes, budget))
    for point in itertools.product([i / 8 for i in range(9)], repeat=len(curves)):
        if sum(size * (1 - s) for size, s in zip(sizes.values(), point, strict=True)) <= budget:
            assert found <= predicted_loss(curves, dict(zip(curves, point, strict=True))) + 1e-6


def test_ends_of_the_budget():
    curves, sizes = {"a": [0.9, 0.5], "b": [0.9, 0.8]}, {"a": 10, "b": 30}
    assert allocate_sparsity(curves, sizes, 40) == {"a": 0.0, "b": pytest.approx(0, abs=1e-7)}
    assert allocate_sparsity(curves, sizes, 1000) == {"a": 0.0, "b": 0.0}
    assert allocate_sparsity(curves, sizes, 0) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("curves", "sizes", "budget", "message"),
    [
        ({"a": [1.0, 0.0]}, {"b": 3}, 1, "the same layers twice"),
        ({"a": [1.0]}, {"a": 3}, 1, "2 or more finite accuracies for layer 'a'"),
        ({"a": [1.0, float("nan")]}, {"a": 3}, 1, "finite accuracies for layer 'a'"),
        ({"a": [1.0, 0.0]}, {"a": 0}, 1, "sizes of 1 parameter or more"),
        ({"a": [1.0, 0.0]}, {"a": 3}, -1, "a budget of 0 or more"),
    ],
)
def test_wrong_arguments_are_named(curves, sizes, budget, message):
    with pytest.raises(ValueError, match=message):
        allocate_sparsity(curves, sizes, budget)


def test_costs_by_hand():
    model, x = fashion_cnn().eval(), torch.rand(2, 1, 28, 28)
    shares = [0.0, 0.5, 1.0]
    parameters, work, stored = (layer_costs(model, x, shares, unit) for unit in ("parameters", "macs", "bytes"))
    assert sum(costs[0] for costs in work.values()) == macs(model, x[:1])
    assert parameters["13"] == [55296, 27648, 0]
    assert work["4"] == [14 * 14 * 48 * 24 * 9, 14 * 14 * 48 * 24 * 9 / 2, 0]
    assert stored["13"] == [4 * 55296, 4 * 27648 + 55296 / 8, 4 * 5]  # dense; a bit a place; row pointers of no block


def test_costs_in_seconds_decide_too():
    model, x = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)), torch.rand(4, 64)
    costs = layer_costs(model, x, [0.0, 0.5, 1.0], "seconds")
    assert all(cost > 0 for curve in costs.values() for cost in curve)
    curves = {name: [0.9, 0.8, 0.1] for name in costs}
    budget = sum(min(curve) for curve in costs.values())
    found = allocate_cost(curves, costs, budget)
    assert sum(costs[name][round(2 * share)] for name, share in found.items()) == pytest.approx(budget)
    with pytest.raises(ValueError, match="the cheapest there is"):
        allocate_cost(curves, costs, budget / 2)
    with pytest.raises(ValueError, match="unit to be one of"):
        layer_costs(model, x, [0.5], "joules")


def test_scan_of_the_shipped_network_is_seeded_and_small():
    """One layer, two points, on the real validation images: dense accuracy at 0, a tenth at 1."""
    split = load_fashion()
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    curve = sensitivity_scan(model, split, [1.0], progress=False)["1"]
    assert curve == [pytest.approx(0.1)]
