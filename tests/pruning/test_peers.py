"""The same channels removed by Torch-Pruning, the same MACs counted by it and by hand; passports and quantization after pruning."""

import warnings

import pytest
import torch
from torch import nn

from posttrain_lab.data import Split, load_fashion
from posttrain_lab.measure import passport, predict
from posttrain_lab.metrics import accuracy, macs, model_bytes
from posttrain_lab.models import fashion_cnn, fashion_resnet, fashion_vit, load_pretrained
from posttrain_lab.pruning import (
    PruningConfig,
    WorkBudget,
    choose_units,
    find_groups,
    prune_model,
    prune_units,
    remove_units,
    unit_scores,
)
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from tests.pruning.graphs import shaken

NETWORKS = {"cnn": fashion_cnn, "resnet": fashion_resnet, "vit": fashion_vit}
X = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def torch_pruning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_pruning

        return torch_pruning


def macs_by_hand(model: nn.Module) -> int:
    """Count what is added up: run each layer on numbers, and multiply the sizes of its output and of one filter."""
    counts = []

    def count(layer, inputs, output):
        filters = layer.weight.reshape(len(layer.weight), -1)
        places = output.numel() // len(filters)
        counts.append(int((torch.ones_like(filters) @ torch.ones(filters.shape[1], places)).sum()))

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        model(X)
    for hook in hooks:
        hook.remove()
    return sum(counts)


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_removed_channels_equal_torch_pruning(name, torch_pruning):
    """Every group: what goes with three of its units, and the weights that are left, are those of Torch-Pruning's own graph."""
    torch.manual_seed(0)
    for number, group in enumerate(find_groups(NETWORKS[name](), X)):
        torch.manual_seed(0)
        model = shaken(NETWORKS[name]())
        gone = [0, 2, len(group) - 1]
        keep = {group.name: torch.tensor([unit not in gone for unit in range(len(group))])}
        ours = remove_units(model, find_groups(model, X), keep, X)
        maker = model.get_submodule(group.name)
        cut = torch_pruning.prune_conv_out_channels if isinstance(maker, nn.Conv2d) else torch_pruning.prune_linear_out_channels
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=X)
            graph.get_pruning_group(maker, cut, idxs=gone).prune()
        theirs = model.state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.state_dict().items()), number
        assert macs(ours, X) == macs_by_hand(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_equal_torch_pruning_and_a_count_by_hand(name, torch_pruning):
    """Torch-Pruning also counts biases, norms, pooling and attention: a little more than the products of the layers."""
    model = shaken(NETWORKS[name]())
    small = prune_units(model, X, WorkBudget(0.6))
    for network in (model, small):
        assert macs(network, X) == macs_by_hand(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, weights = torch_pruning.utils.count_ops_and_params(small, X)
    assert weights == sum(p.numel() for p in small.parameters())
    assert macs(small, X) == pytest.approx(theirs, rel=0.15)


def test_heads_by_hand():
    """One head of the transformer: its 16 rows leave query, key and value, its 16 columns the projection."""
    model = fashion_vit().eval()
    small = remove_units(model, find_groups(model, X), {"5.attention.query": torch.tensor([True, False, True, True])}, X)
    rows = torch.tensor([i for i in range(64) if not 16 <= i < 32])
    for name in ("query", "key", "value"):
        assert torch.equal(getattr(small[5].attention, name).weight, getattr(model[5].attention, name).weight[rows])
    assert torch.equal(small[5].attention.out.weight, model[5].attention.out.weight[:, rows])


@pytest.mark.parametrize("rule", ["uniform", "global"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_budget_of_work_is_met(name, rule):
    model = shaken(NETWORKS[name]())
    small = prune_units(model, X, WorkBudget(0.6, rule))
    assert 0.5 < macs(small, X) / macs(model, X) <= 0.6


def test_taylor_sees_what_a_unit_does():
    """A unit whose readers are 0 changes nothing when it goes: its score is 0, the lowest."""
    split = load_fashion()
    model = load_pretrained()
    model[4].weight.data[:, 5] = 0
    groups = find_groups(model, X)
    scores = unit_scores(model, groups, "taylor", split.calibration.first(200))
    assert int(scores["0"].argmin()) == 5
    assert float(scores["0"][5]) == 0
    keep = choose_units(model, groups, scores, X, WorkBudget(0.5, "uniform", multiple=8))
    assert not keep["0"][5]
    assert all(int(mask.sum()) % 8 == 0 for mask in keep.values())


def test_an_impossible_budget_is_named():
    with pytest.raises(ValueError, match="cannot reach 0%"):
        prune_units(fashion_cnn(), X, WorkBudget(0.001))
    with pytest.raises(ValueError, match="0 < share <= 1"):
        WorkBudget(0.0)
    with pytest.raises(ValueError, match="channels that can go, got none"):
        prune_units(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), X)
    with pytest.raises(ValueError, match="for kind 'taylor', got none"):
        unit_scores(fashion_cnn(), (), "taylor")


@pytest.mark.slow
def test_pruned_networks_have_passports_and_can_be_quantized():
    """Prune, then quantize: the smaller network is a plain chain, so it becomes an integer one; both are measured."""
    whole = load_fashion()
    split = Split(whole.name, whole.train, whole.calibration.first(200), whole.validation.first(500), whole.test)
    dense = load_pretrained()
    small = prune_units(dense, split.calibration.images[:1], WorkBudget(0.7, "uniform", 8), "taylor", split.calibration)
    before, after = (passport(model, split, name, repeats=3) for model, name in ((dense, "dense"), (small, "channels")))
    assert after.bytes < 0.8 * before.bytes
    assert after.macs <= 0.7 * before.macs
    masked = passport(prune_model(dense, PruningConfig(0.5)).model, split, "half", repeats=3)
    assert masked.bytes == before.bytes  # zeros in a dense tensor cost what other numbers cost
    quantized = quantize_model(small, split.calibration, QuantizationConfig(mode="integer"))
    validation = split.validation
    got, want = (accuracy(predict(model, validation.images), validation.labels) for model in (quantized, small))
    assert got == pytest.approx(want, abs=0.02)
    assert model_bytes(quantized) < 0.3 * model_bytes(small)
