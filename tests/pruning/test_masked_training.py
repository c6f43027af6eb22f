"""Pruned weights stay 0 through gradients, momentum and weight decay; schedules end where they should."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.data import Dataset
from posttrain_lab.pruning import (
    GradualConfig,
    PruningConfig,
    cubic_sparsity,
    lottery_tickets,
    masked_step,
    masks_of,
    prune_gradually,
    prune_model,
    train_masked,
)
from posttrain_lab.training import TrainingConfig

pytestmark = pytest.mark.portable

QUICK = TrainingConfig(epochs=2, batch_size=32, learning_rate=0.02, weight_decay=0.1)


def clouds(n: int = 128) -> Dataset:
    labels = torch.arange(n) % 2
    noise = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    return Dataset(noise + 2.0 * labels[:, None], labels, ("left", "right"))


def model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_masked_step_zeros_and_leaves_the_rest_as_unmasked(kind):
    """Two copies, one masked: with a mask that hides nothing else from the gradients, kept weights move alike."""
    options = {"lr": 0.1, "weight_decay": 0.3} | ({"momentum": 0.9} if kind is torch.optim.SGD else {})
    start = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(5, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    free, held = nn.Parameter(start.clone()), nn.Parameter(start * mask)
    plain, masked = kind([free], **options), kind([held], **options)
    for step in range(4):
        gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(10 + step))
        free.grad, held.grad = gradient.clone(), gradient.clone()
        plain.step()
        masked_step(masked, {held: mask})
        assert (held[~mask] == 0).all()
        assert torch.equal(held[mask], free[mask])


def test_masked_step_names_a_wrong_mask_before_it_steps():
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    with pytest.raises(ValueError, match=r"bool mask \(2,\)"):
        masked_step(torch.optim.SGD([weight], lr=1.0), {weight: torch.ones(3, dtype=torch.bool)})
    assert torch.equal(weight.data, torch.ones(2))


def test_training_keeps_the_masks_and_learns():
    pruned = prune_model(model(), PruningConfig(0.5))
    trained, losses = train_masked(pruned.model, pruned.masks, clouds(), QUICK, progress=False)
    assert losses[-1] < losses[0]
    assert all((trained.get_submodule(name).weight[~mask] == 0).all() for name, mask in pruned.masks.items())
    assert not torch.equal(trained[0].weight, pruned.model[0].weight)
    assert torch.equal(pruned.model[0].weight, prune_model(model(), PruningConfig(0.5)).model[0].weight)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50), st.floats(0, 1))
def test_cubic_schedule_rises_to_its_end(steps, final):
    curve = [cubic_sparsity(step, steps, final) for step in range(steps + 3)]
    assert curve[0] == pytest.approx(0, abs=1e-12)
    assert curve[-1] == curve[-3] == final
    assert all(later >= earlier for earlier, later in itertools.pairwise(curve))


def test_gradual_pruning_ends_exactly():
    data = clouds()
    trained, masks = prune_gradually(model(), data, GradualConfig(0.75, every=3, skip=("2",)), QUICK, progress=False)
    assert list(masks) == ["0"]
    assert int((~masks["0"]).sum()) == round(0.75 * 96)
    assert (trained[0].weight[~masks["0"]] == 0).all()
    assert (trained(data.images).argmax(1) == data.labels).float().mean() > 0.7


def test_gradual_pruning_by_lamp_keeps_a_layer_of_small_weights():
    start = model()
    with torch.no_grad():
        start[2].weight.mul_(1e-4)
    config = GradualConfig(0.8, every=3, score="lamp")
    trained, masks = prune_gradually(start, clouds(), config, replace(QUICK, learning_rate=1e-7), progress=False)
    assert sum(int((~mask).sum()) for mask in masks.values()) == round(0.8 * 128)
    assert masks["2"].any()
    assert all(torch.equal(masks_of(trained)[name], mask) for name, mask in masks.items())
    assert not prune_model(start, PruningConfig(0.8)).masks["2"].any()  # which is what one ranking by magnitude does


def test_gradual_pruning_wants_a_score_without_images():
    with pytest.raises(ValueError, match="magnitude, lamp, got 'taylor'"):
        GradualConfig(score="taylor")


def test_lottery_tickets_rewind():
    start = model()
    tickets = lottery_tickets(start, clouds(), sparsity=0.75, rounds=2, training=QUICK, progress=False)
    assert [ticket.sparsity for ticket in tickets] == pytest.approx([0, 0.5, 0.75])
    for earlier, later in itertools.pairwise(tickets):
        for name, mask in later.masks.items():
            assert not (mask & ~earlier.masks[name]).any()  # what has gone does not come back
            layer = later.start.get_submodule(name)
            assert torch.equal(layer.weight, start.get_submodule(name).weight * mask)
            assert torch.equal(masks_of(later.trained)[name] & ~mask, torch.zeros_like(mask))
    assert sum(int((~mask).sum()) for mask in tickets[-1].masks.values()) == round(0.75 * 128)


@pytest.mark.parametrize(("rounds", "share"), [(0, 0.5), (2, 1.0)])
def test_lottery_names_wrong_rounds(rounds, share):
    with pytest.raises(ValueError, match="rounds >= 1 and a sparsity below 1"):
        lottery_tickets(model(), clouds(), share, rounds, QUICK)


def test_wrong_schedules_are_named():
    with pytest.raises(ValueError, match=r"0 < share <= 1"):
        GradualConfig(share=0.0)
    with pytest.raises(ValueError, match="steps >= 1"):
        cubic_sparsity(1, 0, 0.5)
