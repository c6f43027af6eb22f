"""`auditing.certify`: scipy's quantiles, and a linear model, whose smoothed version is known exactly."""

import pytest
import torch
from torch import nn

from posttrain_lab.auditing.certify import ABSTAINED, certified_radius, certify, noisy_votes

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("count", "n"), [(1000, 1000), (990, 1000), (700, 1000), (60, 100), (10_000, 10_000)])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_radius_is_that_of_scipys_quantiles(count, n, alpha):
    bound = float(stats.beta.ppf(alpha, count, n - count + 1))
    wanted = max(0.0, 0.25 * float(stats.norm.ppf(bound)))
    assert certified_radius(count, n, 0.25, alpha) == pytest.approx(wanted, rel=1e-8, abs=1e-12)


def test_it_abstains_where_the_bound_is_at_most_one_half():
    assert certified_radius(500, 1000, 1.0, 0.05) == 0.0
    assert certified_radius(525, 1000, 1.0, 0.05) == 0.0  # the share is above one half, its bound is not
    assert certified_radius(530, 1000, 1.0, 0.05) > 0
    assert certified_radius(0, 10, 1.0, 0.05) == 0.0


def test_of_a_linear_model_the_certified_radius_is_below_the_true_distance_and_close_to_it():
    """Noise makes no difference to a linear boundary: the smoothed model changes its answer exactly there."""
    model = nn.Linear(3, 2)
    model.weight.data, model.bias.data = torch.tensor([[0.0, 0.0, 0.0], [2.0, -1.0, 0.5]]), torch.zeros(2)
    x = torch.rand((20, 3), generator=torch.Generator().manual_seed(0))
    gap = x @ model.weight.data[1]
    distance = gap.abs() / model.weight.data[1].norm()
    found = certify(model, x, 0.5, (100, 20_000), 0.001, torch.Generator().manual_seed(1))
    sure = found.labels != ABSTAINED
    assert sure.sum() > 10
    assert torch.equal(found.labels[sure], (gap > 0).long()[sure])
    assert (found.radius[sure] <= distance[sure]).all()
    assert (found.radius[sure] > distance[sure] - 0.06).all()
    assert (found.radius[~sure] == 0).all()
    assert found.certified_accuracy((gap > 0).long(), 0.0) == pytest.approx(sure.double().mean().item())
    assert found.certified_accuracy((gap > 0).long(), 9.0) == 0.0


def test_votes_repeat_by_the_generator_and_leave_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).train()
    first, again = (noisy_votes(model, torch.zeros(3), 1.0, 2500, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.sum() == 2500
    assert model.training


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((1, 0, 0.1, 0.1), "n to be"), ((4, 3, 0.1, 0.1), "count <= n"), ((1, 3, -0.1, 0.1), "sigma"), ((1, 3, 0.1, 5), "alpha")],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        certified_radius(*arguments)
