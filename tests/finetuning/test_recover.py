"""Recovery: masks and grids are kept exactly, validation never falls, nothing that came in is changed."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.data import Split
from posttrain_lab.finetuning import Grid, masking, recover, recover_quantized, round_to_grid, validation_accuracy
from posttrain_lab.quantization import PerChannel, fake_quantize_weight
from posttrain_lab.training import TrainingConfig, train
from tests.finetuning.small_nets import kept, small_cnn, stripe_split, stripes

CONFIG = TrainingConfig(batch_size=15, learning_rate=0.01, weight_decay=0.1)


def trained() -> nn.Module:
    split = stripe_split()
    config = TrainingConfig(epochs=12, batch_size=15, learning_rate=0.02)
    return train(small_cnn(), split.train.images, split.train.labels, config, progress=False)[0]


def masks_of(model: nn.Module, keep: float, seed: int = 0) -> dict[str, torch.Tensor]:
    """The largest weights of every layer."""
    masks = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            order = parameter.detach().abs().flatten().argsort(descending=True)
            mask = torch.zeros(parameter.numel(), dtype=torch.bool)
            mask[order[: max(1, int(keep * len(order)))]] = True
            masks[name] = mask.reshape(parameter.shape)
    return masks


class NoTest:
    """Images that nobody may look at."""

    def __getattr__(self, name: str):
        raise AssertionError("recovery looked at images that it may not see")


@pytest.mark.slow
def test_masks_stay_validation_rises_and_the_input_is_untouched():
    split = stripe_split()
    blind = Split(split.name, split.train, split.calibration, split.validation, NoTest())
    model = trained()
    masks, before = masks_of(model, 0.12), kept(model)
    pruned = copy.deepcopy(model)
    with torch.no_grad():
        for name, mask in masks.items():
            pruned.get_parameter(name).mul_(mask)
    healed = recover(model, masks, blind, epochs=6, config=CONFIG)
    for name, mask in masks.items():
        assert not healed.get_parameter(name)[~mask].any()
        assert bool((healed.get_parameter(name)[mask] != 0).all())
    assert validation_accuracy(healed, split.validation) > validation_accuracy(pruned, split.validation)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not healed.training


def test_validation_chooses_nothing_unless_asked():
    """As unit 03 says: what was chosen by these images cannot say how much was recovered."""
    split, model = stripe_split(), small_cnn(0)
    blind = Split(split.name, split.train, split.calibration, NoTest(), NoTest())
    masks, bad = masks_of(model, 0.5), TrainingConfig(batch_size=30, learning_rate=0.3)
    healed, again = recover(model, masks, blind, 2, bad), recover(model, masks, split, 2, bad)
    assert all(torch.equal(a, b) for a, b in zip(healed.state_dict().values(), again.state_dict().values(), strict=True))
    images, labels = split.train.images, split.train.labels
    pruned = recover(model, masks, blind, 0)
    last = train(pruned, images, labels, replace(bad, epochs=2), after_step=masking(masks))[0]
    assert all(torch.equal(a, b) for a, b in zip(healed.state_dict().values(), last.state_dict().values(), strict=True))
    assert not healed.training


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99), epochs=st.integers(0, 2))
def test_validation_never_falls_whatever_the_rate(seed, epochs):
    split, model = stripe_split(), small_cnn(seed)
    masks = masks_of(model, 0.5)
    start = recover(model, masks, split, epochs=0)
    bad = TrainingConfig(batch_size=30, learning_rate=0.3)
    healed = recover(model, masks, split, epochs, bad, keep_best=True)
    assert validation_accuracy(healed, split.validation) >= validation_accuracy(start, split.validation)
    assert all(not healed.get_parameter(name)[~mask].any() for name, mask in masks.items())


def test_momentum_and_decay_cannot_bring_a_weight_back():
    layer = nn.Linear(4, 3, bias=False)
    mask = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    twin = copy.deepcopy(layer)
    for net, hook in ((layer, masking({"weight": mask})), (twin, None)):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            (net.weight * torch.arange(12.0).reshape(3, 4)).sum().backward()
            optimizer.step()
            if hook:
                hook(SimpleNamespace(model=net))
                assert not net.weight[~mask].any()
    assert torch.allclose(layer.weight[mask], twin.weight[mask])


@pytest.mark.slow
@pytest.mark.parametrize("pruned", [False, True])
def test_grids_stay_validation_rises_and_other_points_are_reached(pruned):
    split, model = stripe_split(), trained()
    masks = masks_of(model, 0.5) if pruned else None
    rounded, grids = round_to_grid(model, 2, masks)
    healed = recover_quantized(rounded, grids, split, epochs=8, config=CONFIG)
    assert set(grids) == {"0.weight", "4.weight", "7.weight", "9.weight"}
    moved = 0
    for name, grid in grids.items():
        assert grid.holds(healed.get_parameter(name))
        moved += int((grid.codes(healed.get_parameter(name)) != grid.codes(rounded.get_parameter(name))).sum())
        assert grid.codes(healed.get_parameter(name)).abs().max() <= 1
        if masks:
            assert not healed.get_parameter(name)[~masks[name]].any()
    assert moved > 0
    assert validation_accuracy(healed, split.validation) >= validation_accuracy(rounded, split.validation)
    if pruned:
        assert validation_accuracy(healed, split.validation) > validation_accuracy(rounded, split.validation)
    assert {name for name, _ in healed.named_parameters()} == {name for name, _ in model.named_parameters()}
    assert type(healed[0]) is nn.Conv2d


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_rounding_is_that_of_unit_02(bits):
    model = small_cnn()
    rounded, grids = round_to_grid(model, bits)
    for name, grid in grids.items():
        assert torch.equal(
            rounded.get_parameter(name), fake_quantize_weight(model.get_parameter(name).detach(), bits, PerChannel())
        )
        assert grid.holds(rounded.get_parameter(name))
    assert not grids["0.weight"].holds(model[0].weight)


def test_wrong_masks_and_grids_are_named():
    model, split = small_cnn(), stripe_split()
    with pytest.raises(ValueError, match=r"'0\.wieght', which the model does not have; did you mean '0\.weight'"):
        recover(model, {"0.wieght": torch.ones(1, dtype=torch.bool)}, split, 1)
    with pytest.raises(TypeError, match=r"boolean masks, true where a weight stays, got torch\.float32 for '0\.weight'"):
        recover(model, {"0.weight": torch.ones(4, 1, 3, 3)}, split, 1)
    with pytest.raises(ValueError, match=r"shapes of the weights, got \[4\] for '0\.weight' \[4, 1, 3, 3\]"):
        recover(model, {"0.weight": torch.ones(4, dtype=torch.bool)}, split, 1)
    with pytest.raises(ValueError, match=r"weights on their grids, '9\.weight' is not; use round_to_grid"):
        recover_quantized(model, {"9.weight": Grid(torch.ones(3, 1), 4)}, split, 1)


def test_labels_outside_the_classes_are_named_and_nothing_is_lost():
    model, data = small_cnn(), stripes(30)
    before = kept(model)
    labels = data.labels.clone()
    labels[7] = 3
    with pytest.raises(ValueError, match=r"train wants labels in 0\.\.2, one for each output of the model, got 0\.\.3"):
        train(model, data.images, labels, TrainingConfig(epochs=1), progress=False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
