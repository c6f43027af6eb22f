"""`auditing.sanity`: scipy and linear models as oracles."""

import math

import pytest
import torch
from torch import nn

from posttrain_lab.auditing.attribution import gradient_map
from posttrain_lab.auditing.sanity import average_ranks, cascade, deletion_curve, rank_agreement

stats = pytest.importorskip("scipy.stats")


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_rank_agreement_is_spearmans(steps):
    """Few steps make many ties."""
    a, b = (drawn(7, 9, seed=seed).mul(steps).round() for seed in (1, 2))
    assert rank_agreement(a, b + a / 2) == pytest.approx(float(stats.spearmanr(a.flatten(), (b + a / 2).flatten()).statistic))
    assert average_ranks(a.flatten()).tolist() == stats.rankdata(a.flatten().numpy()).tolist()


def test_a_constant_map_agrees_with_none():
    assert math.isnan(rank_agreement(torch.ones(3), torch.arange(3.0)))
    assert rank_agreement(torch.arange(3.0), -torch.arange(3.0)) == -1.0


def test_the_cascade_draws_layers_from_the_last_to_the_first_and_keeps_the_model():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    before = [p.detach().clone() for p in model.parameters()]
    (last, one), (first, both) = cascade(model, seed=3)
    assert (last, first) == ("2", "0")
    assert torch.equal(one[0].weight, model[0].weight)
    assert not torch.equal(one[2].weight, model[2].weight)
    assert torch.equal(both[2].weight, one[2].weight)
    assert not torch.equal(both[0].weight, model[0].weight)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_the_gradient_of_a_random_network_has_nothing_to_do_with_the_old_one():
    model, x, target = nn.Linear(400, 3), drawn(1, 400), torch.tensor([1])
    ((_, random),) = cascade(model)
    assert rank_agreement(gradient_map(model, x, target), gradient_map(model, x, target)) == 1.0
    assert abs(rank_agreement(gradient_map(model, x, target), gradient_map(random, x, target))) < 0.2


def test_deletion_removes_the_largest_values_first():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = torch.tensor([[4.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    curve = deletion_curve(model, torch.ones(1, 2, 2), torch.tensor([[4.0, 3.0], [2.0, 1.0]]), 0, [0, 0.25, 0.5, 1.0])
    assert curve == pytest.approx([1 / (1 + math.exp(-left)) for left in (10, 6, 3, 0)])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rank_agreement(torch.ones(3), torch.ones(1, 3)), "one shape"),
        (lambda: rank_agreement(torch.tensor([math.nan]), torch.ones(1)), "NaN"),
        (lambda: list(cascade(nn.ReLU())), "float layers"),
        (lambda: deletion_curve(nn.Flatten(), torch.ones(1, 2, 2), torch.ones(2, 2), 0, [1.5]), "shares"),
        (lambda: deletion_curve(nn.Flatten(), torch.ones(1, 2, 2), torch.ones(2, 2), 4, [1.0]), r"0\.\.3"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
