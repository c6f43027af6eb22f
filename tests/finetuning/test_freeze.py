"""Freezing: exactly those parameters, and batch norms that stay as they are."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.finetuning import (
    bias_names,
    freeze,
    gradual_unfreezing,
    head_names,
    norm_names,
    parameter_groups,
    stages_from_the_end,
    trainable_names,
    unfreeze,
)
from posttrain_lab.training import TrainingConfig, train
from tests.finetuning.small_nets import kept, small_cnn, stripes

NAMES = [name for name, _ in small_cnn().named_parameters()]


@given(wanted=st.lists(st.sampled_from(NAMES)))
def test_exactly_the_named_parameters_learn(wanted):
    model = small_cnn()
    count = freeze(model, wanted)
    assert set(trainable_names(model)) == set(wanted)
    assert count == sum(parameter.numel() for name, parameter in model.named_parameters() if name in wanted)
    unfreeze(model)
    assert trainable_names(model) == NAMES


@pytest.mark.parametrize("wanted", [[], ["9.weight"], ["1.bias"]])
def test_training_moves_what_was_named_and_nothing_else(wanted):
    data, model = stripes(30), small_cnn()
    if not wanted:
        freeze(model, ["9.bias"])
    else:
        freeze(model, wanted)
    before = kept(model)
    trained, _ = train(model, data.images, data.labels, TrainingConfig(epochs=2, batch_size=10), progress=False)
    moved = {name for name, value in trained.state_dict().items() if not torch.equal(value, before[name])}
    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"} if wanted == ["1.bias"] else set()
    assert moved == set(wanted or ["9.bias"]) | statistics


def test_a_frozen_norm_uses_its_statistics_in_train_mode_and_in_copies():
    model = small_cnn()
    freeze(model, ["9.weight"])
    x = stripes(12).images
    want = model.eval()(x)
    for net in (model.train(), copy.deepcopy(model).train()):
        assert net.training
        assert torch.equal(net(x), want)
        assert torch.equal(net[1].running_mean, model[1].running_mean)
    assert copy.deepcopy(model)[1].train() is not model[1].train()


def test_choosing_again_replaces_the_choice():
    model = small_cnn()
    freeze(model, [])
    freeze(model, ["1.weight"])
    assert model.train()[1].training
    before = model[1].running_mean.clone()
    model(stripes(12).images)
    assert not torch.equal(model[1].running_mean, before)


def test_shared_parameters_count_once_and_follow_either_name():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    assert freeze(model, ["1.weight"]) == 9
    assert model[0].weight.requires_grad


def test_unknown_names_change_nothing_and_suggest():
    model = small_cnn()
    freeze(model, ["0.weight"])
    with pytest.raises(ValueError, match=r"'9\.wieght', which the model does not have; did you mean '9\.weight'"):
        freeze(model, ["1.bias", "9.wieght"])
    assert trainable_names(model) == ["0.weight"]
    with pytest.raises(TypeError, match=r"list of parameter names, got the string '9\.weight'"):
        freeze(model, "9.weight")


def test_names_for_head_norms_and_biases():
    model = small_cnn()
    assert head_names(model) == ["9.weight", "9.bias"]
    assert norm_names(model) == ["1.weight", "1.bias"]
    assert bias_names(model) == ["1.bias", "4.bias", "7.bias", "9.bias"]
    with pytest.raises(ValueError, match="with parameters, got none"):
        head_names(nn.ReLU())


@given(decay=st.floats(0.1, 1.0), base=st.floats(1e-5, 1.0))
def test_groups_hold_every_parameter_once_and_rates_never_fall(decay, base):
    model = small_cnn()
    groups = parameter_groups(model, base, decay)
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(ids) == sorted(id(parameter) for parameter in model.parameters())
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates)
    assert rates[-1] == base
    spared = {id(p) for group in groups if group.get("weight_decay") == 0.0 for p in group["params"]}
    assert spared == {id(p) for name, p in model.named_parameters() if p.ndim == 1}


def test_groups_work_in_torch_optimizers():
    optimizer = torch.optim.AdamW(parameter_groups(small_cnn(), 0.1, 0.5), weight_decay=0.3)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.3}


def test_a_shared_parameter_is_listed_once_and_layer_norm_is_spared():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    groups = parameter_groups(nn.Sequential(first, nn.LayerNorm((2, 3)), second), 0.1, 0.5)
    assert sum(p is first.weight for group in groups for p in group["params"]) == 1
    assert any(p.ndim == 2 and group.get("weight_decay") == 0.0 for group in groups for p in group["params"])


@pytest.mark.parametrize(("base", "decay"), [(0.0, 0.5), (0.1, 0.0), (0.1, 1.5), (float("nan"), 0.5)])
def test_wrong_rates_are_named(base, decay):
    with pytest.raises(ValueError, match="base_lr > 0 and decay in"):
        parameter_groups(small_cnn(), base, decay)


def test_gradual_unfreezing_moves_layers_stage_by_stage():
    data, model = stripes(30), small_cnn()
    stages = stages_from_the_end(model)
    config = TrainingConfig(epochs=1, batch_size=10, learning_rate=0.01)
    before = kept(model)
    two = gradual_unfreezing(model, data, stages[:2], config)
    moved = {name for name, value in two.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"9.weight", "9.bias", "7.weight", "7.bias"}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="at least one stage"):
        gradual_unfreezing(model, data, [], config)
