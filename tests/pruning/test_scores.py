"""Scores and second-order pruning against independent computations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from posttrain_lab.data import Dataset
from posttrain_lab.pruning import (
    PruningConfig,
    lamp_scores,
    layer_scores,
    magnitude_mask,
    nm_mask,
    prune_model,
    sparsegpt,
    wanda_scores,
)
from posttrain_lab.pruning.scores import inverse_gram, layer_grams

pytestmark = pytest.mark.portable

CLASSES = ("a", "b", "c")


def data(n: int = 40, seed: int = 0) -> Dataset:
    rng = torch.Generator().manual_seed(seed)
    return Dataset(torch.rand(n, 2, 6, 6, generator=rng), torch.randint(3, (n,), generator=rng), CLASSES)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def correlated(tokens: int, width: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(tokens, width // 2, generator=rng) @ torch.randn(width // 2, width, generator=rng) + 0.1 * torch.randn(
        tokens, width, generator=rng
    )


def test_wanda_of_a_convolution_sees_its_windows():
    """The norm of what each filter weight multiplies, from torch's own unfold."""
    model, images = network(), data()
    got = layer_scores(model, "wanda", images)["0"]
    windows = F.unfold(images.images, 3).reshape(40, 2, 9, 16)
    norms = windows.square().sum((0, 3)).sqrt()  # [group, kernel]
    want = model[0].weight.detach().abs() * norms.reshape(2, 1, 1, 3, 3).repeat_interleave(2, 0).reshape(4, 1, 3, 3)
    assert torch.allclose(got, want, rtol=1e-4)
    assert torch.allclose(
        layer_scores(model, "wanda", images)["3"], wanda_scores(model[3].weight, model[:3](images.images)), rtol=1e-4
    )


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=12))
def test_lamp_is_the_share_of_what_is_still_there(values):
    """By the definition, in plain Python: remove the weights one after another, the smallest first."""
    values = [0.0 if abs(value) < 1e-3 else value for value in values]
    left, want = sorted(range(len(values)), key=lambda i: abs(values[i])), {}
    while left:
        total = sum(values[i] ** 2 for i in left)
        first = left.pop(0)
        want[first] = values[first] ** 2 / total if total else 0.0
    got = lamp_scores(torch.tensor(values))
    assert got.tolist() == pytest.approx([want[i] for i in range(len(values))], rel=1e-5)


def test_lamp_does_not_see_the_scale_of_a_layer():
    """A thousand times smaller weights in one layer: a ranking by magnitude takes it whole, one by LAMP takes the same weights as before."""
    model, smaller = network(), network()
    with torch.no_grad():
        smaller[0].weight.div_(1024)
    before, after = (prune_model(one, PruningConfig(0.8, score="lamp")).masks for one in (model, smaller))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not prune_model(smaller, PruningConfig(0.8)).masks["0"].any()
    assert all(mask.any() for mask in prune_model(smaller, PruningConfig(0.99, score="lamp")).masks.values())


def test_taylor_is_weight_times_gradient():
    model, images = network(), data()
    F.cross_entropy(model(images.images), images.labels).backward()
    want = (model[3].weight * model[3].weight.grad).abs()
    assert torch.allclose(layer_scores(model, "taylor", images)["3"], want, rtol=1e-3, atol=1e-7)


def test_obs_predicts_the_loss_of_one_removal():
    """Removing one weight and refitting the row by least squares raises the squared error by the score (Hassibi and Stork 1993)."""
    rows = correlated(60, 6, 0).double()
    weight = torch.randn(6, generator=torch.Generator().manual_seed(1)).double()
    scores = weight.square() / torch.linalg.inv(rows.T @ rows).diagonal()
    for j in range(6):
        others = [k for k in range(6) if k != j]
        refit = torch.linalg.lstsq(rows[:, others], rows @ weight).solution
        error = (rows[:, others] @ refit - rows @ weight).square().sum()
        assert float(error) == pytest.approx(float(scores[j]), rel=1e-6)
    gram = rows.T @ rows
    damped = gram + 0.01 * gram.diagonal().mean() * torch.eye(6)
    assert torch.allclose(inverse_gram(gram), torch.linalg.inv(damped))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.75])
def test_sparsegpt_beats_magnitude_on_unseen_inputs(share):
    """Correlated inputs, half to fit and half to judge, ten layers: a smaller error nearly always, and by far on the whole. Exact zeros."""
    ratios = []
    for seed in range(10):
        rows = correlated(400, 48, seed)
        weight = torch.randn(8, 48, generator=torch.Generator().manual_seed(seed))
        pruned, plain = sparsegpt(weight, rows[:200], share), weight * magnitude_mask(weight, share)
        error, other = ((rows[200:] @ (one - weight).T).square().sum() for one in (pruned, plain))
        ratios.append(float(error / other))
        assert int((pruned == 0).sum()) == round(share * weight.numel())
    assert sum(ratio < 1 for ratio in ratios) >= 8
    assert sum(ratios) / 10 < 0.95


def test_sparsegpt_two_of_four():
    rows, weight = correlated(200, 48, 0), torch.randn(8, 48, generator=torch.Generator().manual_seed(0))
    pruned = sparsegpt(weight, rows, nm=(2, 4))
    assert ((pruned != 0).reshape(8, 12, 4).sum(2) == 2).all()
    plain = weight * nm_mask(weight, 2, 4)
    assert (rows @ (pruned - weight).T).square().sum() < (rows @ (plain - weight).T).square().sum()


def test_sparsegpt_with_independent_inputs_is_magnitude():
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    rows = torch.eye(8)
    pruned = sparsegpt(weight, rows, 0.5)
    assert torch.allclose(pruned, weight * magnitude_mask(weight, 0.5))


def test_inputs_that_are_always_zero_do_no_harm():
    rows = correlated(50, 8, 0)
    rows[:, 2] = 0
    assert torch.isfinite(sparsegpt(torch.ones(3, 8), rows, 0.5)).all()


@pytest.mark.parametrize("score", ["magnitude", "lamp", "random", "taylor", "wanda", "obs", "sparsegpt"])
def test_every_score_prunes_a_network_and_leaves_it_alone(score):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned = prune_model(model, PruningConfig(0.5, "layer", score), data())
    assert sum(int((~mask).sum()) for mask in pruned.masks.values()) == round(0.5 * 36) + round(0.5 * 192)
    assert all((pruned.model.get_submodule(name).weight[~mask] == 0).all() for name, mask in pruned.masks.items())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_random_repeats_with_its_seed():
    one, same, other = (layer_scores(network(), "random", seed=seed)["3"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_grams_of_a_grouped_convolution():
    grams = layer_grams(network(), data().images)
    assert grams["0"].shape == (2, 9, 9)
    assert grams["3"].shape == (1, 64, 64)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="one of magnitude"):
        layer_scores(network(), "luck")
    with pytest.raises(ValueError, match="calibration images for kind 'wanda', got none"):
        layer_scores(network(), "wanda")
    with pytest.raises(ValueError, match=r"inputs \[tokens, 3\], got \[5, 4\]"):
        wanda_scores(torch.ones(2, 3), torch.ones(5, 4))
    with pytest.raises(ValueError, match="calibration images for score 'sparsegpt'"):
        prune_model(network(), PruningConfig(0.5, "layer", "sparsegpt"))
    with pytest.raises(ValueError, match=r"inputs \[tokens, 3\]"):
        sparsegpt(torch.ones(2, 3), torch.ones(5, 4))
