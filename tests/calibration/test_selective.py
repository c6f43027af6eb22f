"""Risk against coverage: by hand, by loops, and at its ends."""

import pytest
import torch
from hypothesis import given
from sklearn.metrics import roc_auc_score

from posttrain_lab.calibration import aurc, excess_aurc, risk_coverage

from .drawing import honest_yes, modest, yes_or_no


@modest
@given(data=yes_or_no())
def test_each_point_is_counted(data):
    p, hit = data
    share, risk = risk_coverage(p, hit)
    thresholds = sorted(set(p.tolist()), reverse=True)
    assert len(share) == len(risk) == len(thresholds)
    for k, t in enumerate(thresholds):
        answered = hit[p >= t]
        assert share[k].item() == pytest.approx(len(answered) / len(p))
        assert risk[k].item() == pytest.approx((answered == 0).double().mean().item())
    assert share[-1] == 1
    assert risk[-1].item() == pytest.approx((hit == 0).double().mean().item())
    assert (share.diff() > 0).all()


@modest
@given(data=yes_or_no())
def test_area_laws(data):
    p, hit = data
    area = aurc(p, hit)
    assert 0 <= area <= 1
    assert excess_aurc(p, hit) >= -1e-12
    assert aurc(p.flip(0), hit.flip(0)) == pytest.approx(area)
    assert aurc(p / 2 + 0.25, hit) == pytest.approx(area)  # order only


def test_the_area_of_different_confidences_is_the_mean_risk():
    p, hit = honest_yes(200)
    order = p.argsort(descending=True)
    wrong = (hit[order] == 0).double().cumsum(0)
    assert aurc(p, hit) == pytest.approx((wrong / torch.arange(1, 201)).mean().item())


def test_ends():
    hit = torch.tensor([1, 1, 1, 0, 0])
    best, worst = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9])
    assert excess_aurc(best, hit) == pytest.approx(0)
    assert aurc(torch.full((5,), 0.5), hit) == pytest.approx(0.4)
    assert aurc(worst, hit) > 0.4 > aurc(best, hit)
    assert aurc(best, torch.ones(5)) == 0
    assert aurc(best, torch.zeros(5)) == 1


def test_it_orders_models_as_the_area_under_the_roc_does():
    p, hit = honest_yes(500)
    noisy = (p + torch.rand(500, generator=torch.Generator().manual_seed(3)).double()) / 2
    assert roc_auc_score(hit, p) > roc_auc_score(hit, noisy)
    assert aurc(p, hit) < aurc(noisy, hit)


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        (torch.tensor([1.5]), torch.tensor([1]), r"confidence in \[0, 1\]"),
        (torch.tensor([torch.nan]), torch.tensor([1]), "got nan"),
        (torch.tensor([0.5]), torch.tensor([2]), "bool or 0/1"),
        (torch.zeros(0), torch.zeros(0), "n >= 1"),
    ],
)
def test_refuse(confidence, correct, message):
    with pytest.raises(ValueError, match=f"^risk_coverage wants .*{message}"):
        risk_coverage(confidence, correct)
