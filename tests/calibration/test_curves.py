"""ROC and precision-recall against scikit-learn, DeLong's interval against its coverage, Wilson against the scalar function."""

import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.stats import mannwhitneyu
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from posttrain_lab.calibration import average_precision, bootstrap_interval, precision_recall, roc_auc, roc_curve
from posttrain_lab.metrics import wilson_interval

from .drawing import as_numpy, honest_yes, modest, yes_or_no


@modest
@given(data=yes_or_no(least=2))
def test_agree_with_scikit_learn(data):
    p, y = data
    if y.min() == y.max():
        return
    truth, score = as_numpy(y, p)
    ours, theirs = roc_curve(p, y), sklearn_roc_curve(truth, score, drop_intermediate=False)
    for mine, other in zip((ours.false_rate, ours.true_rate, ours.threshold), theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, atol=1e-12)
    assert roc_auc(p, y).value == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert average_precision(p, y) == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    precision, recall, threshold = precision_recall_curve(truth, score)  # theirs from the lowest up, with an end point added
    mine = precision_recall(p, y)
    np.testing.assert_allclose(mine.precision.flip(0).numpy(), precision[:-1], atol=1e-12)
    np.testing.assert_allclose(mine.recall.flip(0).numpy(), recall[:-1], atol=1e-12)
    np.testing.assert_allclose(mine.threshold.flip(0).numpy(), threshold, atol=1e-12)


@modest
@given(data=yes_or_no(least=2))
def test_the_area_is_mann_whitneys_and_sees_order_only(data):
    p, y = data
    if y.min() == y.max():
        return
    u = mannwhitneyu(p[y == 1].numpy(), p[y == 0].numpy()).statistic
    area = roc_auc(p, y)
    assert area.value == pytest.approx(u / (y.sum() * (1 - y).sum()).item())
    assert roc_auc(10 * p - 3, y).value == pytest.approx(area.value)
    assert roc_auc(-p, y).value == pytest.approx(1 - area.value)
    assert 0 <= area.low <= area.value <= area.high <= 1


def test_delongs_interval_covers():
    # Ones N(1, 1), zeros N(0, 1): the true area is Phi(1 / sqrt 2).
    truth = 0.7602499389065233
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scores = torch.from_numpy(np.concatenate([rng.normal(1, 1, 40), rng.normal(0, 1, 80)]))
        found = roc_auc(scores, torch.tensor([1] * 40 + [0] * 80))
        covered += found.low <= truth <= found.high
    assert 274 <= covered <= 295  # 285 expected, standard deviation 3.8; DeLong is a little short at this size


def test_intervals_are_wilsons():
    p, y = honest_yes(60)
    roc, pr = roc_curve(p, y), precision_recall(p, y)
    ones, zeros = int(y.sum()), int((1 - y).sum())
    for k in (0, 7, 30, 60):
        hits = round(roc.true_rate[k].item() * ones)
        assert (roc.true_low[k].item(), roc.true_high[k].item()) == pytest.approx(wilson_interval(hits, ones, 1.959964), abs=1e-6)
        hits = round(roc.false_rate[k].item() * zeros)
        assert (roc.false_low[k].item(), roc.false_high[k].item()) == pytest.approx(
            wilson_interval(hits, zeros, 1.959964), abs=1e-6
        )
    hits = round(pr.precision[9].item() * 10)
    assert (pr.precision_low[9].item(), pr.precision_high[9].item()) == pytest.approx(
        wilson_interval(hits, 10, 1.959964), abs=1e-6
    )


def test_average_precision_has_an_interval():
    p, y = honest_yes(200)
    found = bootstrap_interval(average_precision, p, y, resamples=100)
    assert found.value == average_precision(p, y)
    assert found.low < found.value < found.high


def test_a_random_order_has_the_share_of_ones_as_precision():
    y = torch.tensor([1, 0, 0, 0] * 25)
    assert average_precision(torch.full((100,), 0.5), y) == 0.25
    assert roc_auc(torch.full((100,), 0.5), y).value == 0.5


@pytest.mark.parametrize("function", [roc_curve, roc_auc, precision_recall])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (torch.tensor([0.5, 0.4]), torch.tensor([1, 1]), "both classes"),
        (torch.tensor([0.5, torch.nan]), torch.tensor([0, 1]), "got NaN"),
        (torch.tensor([0.5, torch.inf]), torch.tensor([0, 1]), "got infinity"),
        (torch.tensor([0.5, 0.4]), torch.tensor([0, 3]), "bool or 0/1"),
        (torch.tensor([0.5, 0.4]), torch.tensor([0]), r"labels \[2\]"),
    ],
)
def test_refuse(function, scores, labels, message):
    with pytest.raises(ValueError, match=f"^{function.__name__} wants .*{message}"):
        function(scores, labels)
