"""Masks: exact counts, the largest kept; torch.nn.utils.prune is the oracle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from posttrain_lab.metrics import sparsity as sparsity_of
from posttrain_lab.models import fashion_cnn
from posttrain_lab.pruning import (
    PruningConfig,
    apply_masks,
    block_mask,
    channel_mask,
    global_masks,
    magnitude_mask,
    masks_of,
    nm_mask,
    prune_model,
)

pytestmark = pytest.mark.portable

SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 1000)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(SEEDS, SHARES)
def test_magnitude_equals_torch(seed, share):
    """torch counts by round(share * n) too; without ties both keep the same weights."""
    layer = nn.Linear(7, 5)
    layer.weight.data = normal(5, 7, seed=seed)
    got = magnitude_mask(layer.weight, share)
    prune.l1_unstructured(layer, "weight", amount=round(share * 35))
    assert torch.equal(got, layer.weight_mask.bool())


@settings(max_examples=40, deadline=None)
@given(SEEDS, SHARES)
def test_global_equals_torch(seed, share):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    got = global_masks({name: p.detach() for name, p in model.named_parameters()}, share)
    pairs = [(model[0], "weight"), (model[2], "weight")]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=round(share * 45))
    assert torch.equal(got["0.weight"], model[0].weight_mask.bool())
    assert torch.equal(got["2.weight"], model[2].weight_mask.bool())
    assert got["0.bias"].all()
    assert got["2.bias"].all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), SHARES)
def test_ties_are_counted_exactly(n, share):
    assert int((~magnitude_mask(torch.ones(n), share)).sum()) == round(share * n)
    assert sum(
        int((~mask).sum()) for mask in global_masks({"a": torch.ones(n, 2), "b": torch.ones(3, n)}, share).values()
    ) == round(share * 5 * n)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 8), st.data())
def test_nm_keeps_n_of_each_m(seed, m, data):
    n = data.draw(st.integers(0, m))
    weight = normal(3, 4 * m, seed=seed)
    groups, mask = weight.abs().reshape(3, 4, m), nm_mask(weight, n, m).reshape(3, 4, m)
    assert (mask.sum(2) == n).all()
    kept, gone = groups.masked_fill(~mask, torch.inf).amin(2), groups.masked_fill(mask, -torch.inf).amax(2)
    assert (kept >= gone).all()


def test_blocks_by_hand():
    weight = torch.zeros(5, 6)
    weight[0, 0], weight[4, 5], weight[3, 3] = 1.0, 3.0, 2.0
    mask = block_mask(weight, 7 / 9, block=2)
    assert int(mask.sum()) == 4 + 2  # one whole block and one cut off by the edge
    assert mask[4, 5]
    assert mask[3, 3]


def test_channels_equal_torch_and_one_always_stays():
    conv = nn.Conv2d(3, 8, 3)
    got = channel_mask(conv.weight, 0.5)
    prune.ln_structured(conv, "weight", amount=4, n=2, dim=0)
    assert torch.equal(got, conv.weight_mask.bool().flatten(1).any(1))
    assert int(channel_mask(conv.weight, 1.0).sum()) == 1


def test_apply_masks_leaves_the_model_alone():
    model = fashion_cnn()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    masks = {name: magnitude_mask(layer.weight, 0.75) for name, layer in model.named_modules() if hasattr(layer, "in_features")}
    pruned = apply_masks(model, masks)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(masks_of(pruned)["13"], masks["13"])
    assert torch.equal(pruned[13].weight[masks["13"]], model[13].weight[masks["13"]])


@pytest.mark.parametrize("pattern", ["global", "layer", "row", "block"])
def test_a_network_is_as_sparse_as_asked(pattern):
    """Blocks at the edges are smaller, so that pattern is within two blocks a layer."""
    pruned = prune_model(fashion_cnn(), PruningConfig(sparsity=0.75, pattern=pattern, block=4))
    assert sparsity_of(pruned.model) == pytest.approx(0.75, abs=1e-2 if pattern in ("block", "row") else 1e-4)


def test_layers_may_have_shares_of_their_own():
    config = PruningConfig(pattern="layer", sparsity=0.0, sparsities=(("4", 0.5), ("13", 0.9)))
    shares = {name: 1 - float(mask.float().mean()) for name, mask in prune_model(fashion_cnn(), config).masks.items()}
    assert shares == {"0": 0, "4": pytest.approx(0.5), "8": 0, "13": pytest.approx(0.9, abs=1e-4), "15": 0}


def test_two_of_four_needs_a_width_of_fours():
    with pytest.raises(ValueError, match="a width that 4 divides in layer '0', got 9 inputs"):
        prune_model(fashion_cnn(), PruningConfig(pattern="nm"))
    masks = prune_model(fashion_cnn(), PruningConfig(pattern="nm", skip=("0",))).masks
    assert all((mask.flatten(1).unflatten(1, (-1, 4)).sum(2) == 2).all() for mask in masks.values())


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_sparsity_outside_is_named(share):
    with pytest.raises(ValueError, match=r"wants a sparsity in \[0, 1\]"):
        magnitude_mask(torch.ones(3), share)
    with pytest.raises(ValueError, match=r"wants a sparsity in \[0, 1\]"):
        PruningConfig(sparsity=share)


def test_bad_weights_are_named():
    bad = torch.tensor([[1.0, float("nan")]])
    with pytest.raises(ValueError, match="finite weights in layer 'second', got NaN"):
        global_masks({"first": torch.ones(2, 2), "second": bad}, 0.5)
    with pytest.raises(TypeError, match=r"wants a float weight, got torch.int64"):
        magnitude_mask(torch.arange(3), 0.5)
    with pytest.raises(ValueError, match="not empty"):
        magnitude_mask(torch.ones(0), 0.5)
    model = fashion_cnn()
    model[8].weight.data[0] = float("nan")
    with pytest.raises(ValueError, match="layer '8', got NaN"):
        prune_model(model)


@pytest.mark.parametrize(("n", "m", "message"), [(5, 4, "0 <= n <= m"), (2, 3, "a width that 3 divides"), (-1, 4, "0 <= n")])
def test_bad_n_and_m_are_named(n, m, message):
    with pytest.raises(ValueError, match=message):
        nm_mask(torch.ones(2, 8), n, m)


def test_shared_weights_and_unknown_names_are_named():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with pytest.raises(ValueError, match=r"'1\.weight' shared with '0\.weight'"):
        prune_model(model)
    with pytest.raises(ValueError, match="got 'last'"):
        prune_model(fashion_cnn(), PruningConfig(skip=("last",)))
    with pytest.raises(ValueError, match="names of Linear or Conv2d layers"):
        apply_masks(fashion_cnn(), {"1": torch.ones(24, dtype=torch.bool)})
    with pytest.raises(ValueError, match=r"bool mask \(10, 64\) for layer '15'"):
        apply_masks(fashion_cnn(), {"15": torch.ones(2, 2, dtype=torch.bool)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"pattern": "columns"},
        {"score": "luck"},
        {"score": "sparsegpt", "pattern": "global"},
        {"n": 5},
        {"sparsities": (("a", 2.0),)},
    ],
)
def test_wrong_configs_are_named(wrong):
    with pytest.raises(ValueError, match="PruningConfig wants"):
        PruningConfig(**wrong)
