"""Thresholds and costs: definitions, optimality for honest probabilities, intervals that cover, and what is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from posttrain_lab.calibration import bayes_threshold, case_costs, cost_curve, expected_cost, net_benefit, saving

from .drawing import honest_yes, modest, yes_or_no

cost = st.floats(1e-3, 1e3)


@modest
@given(fp=cost, fn=cost, unit=st.floats(1e-2, 1e2))
def test_laws_of_the_threshold(fp, fn, unit):
    t = bayes_threshold(fp, fn)
    assert 0 < t < 1
    assert bayes_threshold(unit * fp, unit * fn) == pytest.approx(t)  # only the ratio counts
    assert bayes_threshold(fn, fp) == pytest.approx(1 - t)
    assert (1 - t) * fp == pytest.approx(t * fn)  # there, alarm and silence cost the same


@modest
@given(data=yes_or_no(), t=st.floats(-0.5, 1.5), fp=cost, fn=cost)
def test_cost_is_counted_from_the_confusion_matrix(data, t, fp, fn):
    p, y = data
    (_, false_alarms), (misses, _) = confusion_matrix(y.numpy(), (p >= t).numpy(), labels=[0, 1])
    assert expected_cost(p, y, t, fp, fn) == pytest.approx((fp * false_alarms + fn * misses) / len(p))
    assert case_costs(p, y, t, fp, fn).sum().item() == pytest.approx(fp * false_alarms + fn * misses)


@pytest.mark.parametrize("costs", [(1, 10), (1, 1), (5, 1)])
def test_honest_probabilities_are_cheapest_at_the_bayes_threshold(costs):
    p, y = honest_yes(200_000)
    curve = cost_curve(p[:2000], y[:2000], costs)
    fine = torch.arange(0.02, 1, 0.02).tolist()
    cheapest = min(fine, key=lambda t: expected_cost(p, y, t, *costs))
    assert cheapest == pytest.approx(bayes_threshold(*costs), abs=0.021)
    assert curve.cost.min().item() <= expected_cost(p[:2000], y[:2000], 0.5, *costs)
    assert curve.cheapest() == curve.threshold[curve.cost.argmin()].item()


def test_a_miscalibrated_model_pays_at_that_threshold():
    p, y = honest_yes(20_000)
    t = bayes_threshold(1, 10)
    assert expected_cost(p**3, y, t, 1, 10) > 1.2 * expected_cost(p, y, t, 1, 10)


def test_the_interval_of_the_curve_covers_the_true_cost():
    p, _ = honest_yes(300)
    truth = torch.where(p >= 0.3, 1 - p, 10 * p).mean().item()  # by expectation over the answers
    covered = 0
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        y = (torch.rand(300, generator=generator, dtype=torch.float64) < p).long()
        curve = cost_curve(p, y, (1, 10), torch.tensor([0.3]), seed=seed)
        covered += bool(curve.low[0] <= truth <= curve.high[0])
        assert curve.low[0] <= curve.cost[0] <= curve.high[0]
    # 95 expected, and more, since the p are not drawn again here
    assert covered >= 90


def test_saving_is_paired():
    generator = torch.Generator().manual_seed(0)
    before = 10 * torch.rand(500, generator=generator).double()
    half = saving(before, before / 2)
    assert half.value == pytest.approx(0.5)
    assert half.high - half.low < 1e-9  # whatever is drawn, half is saved
    other = saving(before, (before / 2)[torch.randperm(500, generator=generator)])
    assert other.low < 0.5 < other.high
    assert saving(before, before).value == 0
    assert saving(before, 2 * before).value == pytest.approx(-1)


def test_net_benefit_is_its_definition_and_treating_all_is_its_limit():
    p, y = honest_yes(500)
    t = torch.tensor([0.1, 0.25, 0.5])
    model, everybody = net_benefit(p, y, t)
    for k, threshold in enumerate(t.tolist()):
        alarm = p >= threshold
        true, false = (alarm & (y == 1)).sum().item(), (alarm & (y == 0)).sum().item()
        assert model[k].item() == pytest.approx(true / 500 - false / 500 * threshold / (1 - threshold), abs=1e-7)
    always, same = net_benefit(torch.ones(500), y, t)
    assert torch.allclose(always, everybody)
    assert torch.equal(same, everybody)
    assert (model > everybody).all()
    assert (model > 0).all()


def test_net_benefit_is_the_cost_in_another_unit():
    p, y = honest_yes(400)
    t = bayes_threshold(1, 10)
    model, _ = net_benefit(p, y, torch.tensor([t], dtype=torch.float64))
    # benefit = share of yes - cost in units of a miss (10)
    assert model.item() == pytest.approx(y.double().mean().item() - expected_cost(p, y, t, 1, 10) / 10)


@pytest.mark.parametrize(("fp", "fn"), [(0, 1), (1, 0), (-1, 1), (math.nan, 1), (1, math.inf), ("1", 1), (True, 1)])
def test_costs_are_positive(fp, fn):
    with pytest.raises(ValueError, match=r"^bayes_threshold wants cost_f. to be a finite number > 0"):
        bayes_threshold(fp, fn)
    with pytest.raises(ValueError, match=r"^expected_cost wants cost_f. to be a finite number > 0"):
        expected_cost(torch.tensor([0.5]), torch.tensor([1]), 0.5, fp, fn)


P, Y = torch.tensor([0.5, 0.25]), torch.tensor([1, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: expected_cost(torch.tensor([-2.0, 3.0]), Y, 0.5, 1, 1), ValueError, "look like logits"),
        (lambda: expected_cost(torch.tensor([0.5, math.nan]), Y, 0.5, 1, 1), ValueError, "got NaN"),
        (lambda: expected_cost(P, Y[:1], 0.5, 1, 1), ValueError, r"y \[2\]"),
        (lambda: expected_cost(P, torch.tensor([1, 2]), 0.5, 1, 1), ValueError, "bool or 0/1"),
        (lambda: expected_cost(P, Y, math.nan, 1, 1), ValueError, "threshold to be a number, got nan"),
        (lambda: expected_cost(P, Y, None, 1, 1), ValueError, "threshold to be a number, got None"),
        (lambda: expected_cost([0.5], Y, 0.5, 1, 1), TypeError, "got list"),
        (lambda: net_benefit(P, Y, torch.tensor([1.0])), ValueError, "above 0 and below 1"),
        (lambda: saving(P, Y[:1].double()), ValueError, "same cases, got 2 and 1"),
        (lambda: saving(torch.zeros(2), P), ValueError, "nothing to save"),
        (lambda: saving(P, P, level=1.0), ValueError, "0 < level < 1"),
    ],
)
def test_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_threshold_of_numpy_is_a_number():
    assert expected_cost(P, Y, float(np.float32(0.5)), 1, 1) == 0
