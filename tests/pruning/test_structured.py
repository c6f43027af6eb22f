"""Removed equals masked, on networks that nobody had in mind; and what cannot be removed is said to be so."""

import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from posttrain_lab.metrics import macs
from posttrain_lab.models import PRETRAINED, digits_cnn, fashion_cnn, fashion_resnet, fashion_vit
from posttrain_lab.pruning import find_groups, mask_units, remove_units
from tests.pruning.graphs import Heads, random_network, shaken

NETWORKS = {"cnn": fashion_cnn, "digits": digits_cnn, "resnet": fashion_resnet, "vit": fashion_vit}


def random_keep(groups, seed: int, share: float = 0.6) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    keep = {group.name: torch.rand(len(group), generator=rng) < share for group in groups}
    for mask in keep.values():
        mask[int(torch.randint(len(mask), (), generator=rng))] = True
    return keep


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
@example(seed=5)  # a grouped convolution with one input of each group left
@example(seed=187)
def test_removed_equals_masked_on_random_networks(seed):
    """Float32 sums in another order: 1e-5 of the largest output."""
    model, x = random_network(seed), torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(seed))
    before = state(model)
    groups = find_groups(model, x)
    keep = random_keep(groups, seed)
    removed, masked = remove_units(model, groups, keep, x), mask_units(model, groups, keep)
    with torch.no_grad():
        want = masked(x)
        assert torch.allclose(removed(x), want, rtol=0, atol=1e-5 * max(1.0, float(want.abs().max())))
    gone = any(not mask.all() for mask in keep.values())
    assert weights(removed) < weights(model) if gone else weights(removed) == weights(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_random_networks_can_be_pruned_at_all():
    """The property above would hold for a tracer that fixes everything: most networks must have several groups to choose from."""
    found = [len(find_groups(random_network(seed), torch.rand(1, 2, 6, 6))) for seed in range(20)]
    assert sum(count >= 2 for count in found) >= 18
    assert sum(found) >= 50


@pytest.mark.parametrize("name", NETWORKS)
def test_the_three_networks(name):
    torch.manual_seed(0)
    model, x = shaken(NETWORKS[name]()), torch.rand(2, 1, 28, 28)
    groups = find_groups(model, x)
    keep = random_keep(groups, 0)
    removed, masked = remove_units(model, groups, keep, x), mask_units(model, groups, keep)
    with torch.no_grad():
        assert torch.allclose(removed(x), masked(x), rtol=0, atol=1e-5)
    assert macs(removed, x[:1]) < macs(model, x[:1])


def test_a_masked_network_is_another_function():
    model, x = shaken(fashion_cnn()), torch.rand(2, 1, 28, 28)
    groups = find_groups(model, x)
    keep = {"4": torch.arange(48) < 24}
    assert not torch.allclose(mask_units(model, groups, keep)(x), model(x), atol=1e-3)


def test_groups_of_a_residual_network():
    """The stream after the first block: every layer that writes to it or reads from it, and both shortcuts."""
    groups = {group.name: group for group in find_groups(fashion_resnet(), torch.rand(1, 1, 28, 28))}
    assert set(groups["0"].layers) == {"0", "1", "4.body.0", "4.body.3", "4.body.4", "5.body.0", "5.shortcut.0"}
    assert [len(group) for group in groups.values()] == [24, 24, 48, 48, 96, 96]


def test_heads_go_whole_and_the_stream_under_layer_norm_stays():
    groups = {group.name: group for group in find_groups(fashion_vit(), torch.rand(1, 1, 28, 28))}
    heads = groups["5.attention.query"]
    assert len(heads) == 4
    assert all(len(cut.positions) == 16 for unit in heads.units for cut in unit.cuts)
    assert not any("before" in layer or layer == "3" for group in groups.values() if group.name != "0" for layer in group.layers)


def test_flatten_and_written_out_heads():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), Heads(8, 2), nn.Flatten(), nn.Linear(8 * 16, 3)).eval()
    x = torch.rand(2, 2, 4, 4)
    groups = {group.name: group for group in find_groups(model, x)}
    assert len(groups["2.qkv"]) == 4
    assert [(cut.side, len(cut.positions)) for cut in groups["2.qkv"].units[0].cuts] == [("out", 6), ("in", 2)]
    flat = next(cut for cut in find_groups(fashion_cnn(), torch.rand(1, 1, 28, 28))[2].units[1].cuts if cut.side == "in")
    assert flat.positions == tuple(range(9, 18))


class Counts(nn.Module):
    def forward(self, x):
        return x.view(-1, 8 * 16)


class Decides(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_size_in_the_code_is_left_whole():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), Counts(), nn.Linear(128, 2))
    assert find_groups(model, torch.rand(1, 1, 4, 4)) == ()


def test_what_cannot_be_traced_is_named():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Sequential(Decides()), nn.Flatten(), nn.Linear(32, 2))
    with pytest.raises(ValueError, match=r"got stuck in '1\.0' \(Decides\)"):
        find_groups(model, torch.rand(1, 1, 4, 4))


def test_shared_parameters_are_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    with pytest.raises(ValueError, match=r"'2\.weight' shared with '0\.weight'"):
        find_groups(model, torch.rand(1, 4))


def test_a_layer_that_runs_twice_keeps_its_two_inputs_together():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.again, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.last(torch.relu(self.again(torch.relu(self.again(self.one(x))))))

    torch.manual_seed(0)
    model, x = Twice(), torch.rand(3, 4)
    groups = find_groups(model, x)
    keep = {groups[0].name: torch.arange(6) < 4}
    assert len(groups) == 1
    assert torch.allclose(remove_units(model, groups, keep, x)(x), mask_units(model, groups, keep)(x), atol=1e-6)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_broken_weights_are_named(broken):
    model = fashion_cnn()
    model[4].weight.data[0, 0, 0, 0] = broken
    with pytest.raises(ValueError, match="layer '4', got NaN or infinity"):
        find_groups(model, torch.rand(1, 1, 28, 28))


def test_wrong_masks_are_named():
    model, x = fashion_cnn(), torch.rand(1, 1, 28, 28)
    groups = find_groups(model, x)
    with pytest.raises(ValueError, match=r"bool tensor \[24\] for layer '0', got torch.bool \(3,\)"):
        mask_units(model, groups, {"0": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ValueError, match="at least one of the 24 units of layer '0' to stay"):
        remove_units(model, groups, {"0": torch.zeros(24, dtype=torch.bool)}, x)
    with pytest.raises(ValueError, match="got 'conv1'"):
        remove_units(model, groups, {"conv1": torch.ones(24, dtype=torch.bool)}, x)


def test_one_channel_cannot_go():
    model, x = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 2, 3), nn.Flatten()), torch.rand(1, 1, 6, 6)
    groups = find_groups(model, x)
    assert [len(group) for group in groups] == [1]
    with pytest.raises(ValueError, match="at least one of the 1 units of layer '0'"):
        remove_units(model, groups, {"0": torch.tensor([False])}, x)


def test_a_wrong_example_is_named():
    with pytest.raises(ValueError, match=r"got shape \[1, 3, 28, 28\]"):
        find_groups(fashion_cnn(), torch.rand(1, 3, 28, 28))


def test_modes_and_gradients_survive():
    model = copy.deepcopy(fashion_cnn()).train()
    model[0].weight.requires_grad_(False)
    x = torch.rand(2, 1, 28, 28)
    groups = find_groups(model, x)
    removed = remove_units(model, groups, {"0": torch.arange(24) < 8}, x)
    assert all(module.training for module in [*model.modules(), *removed.modules()])
    assert [removed[0].weight.requires_grad, removed[4].weight.requires_grad] == [False, True]


def test_all_shipped_networks_are_covered():
    assert {build for build in PRETRAINED.values()} == set(NETWORKS.values())
