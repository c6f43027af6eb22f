"""Conformal sets and intervals against MAPIE and TorchCP on the same drawn data, and MAPIE's own toy cases.

TorchCP computes in float32, so scores are compared to 1e-5 and its sets on data where no score lies that near to the bound.
"""

import itertools

import numpy as np
import pytest
import torch

from posttrain_lab.calibration import (
    adaptive_scores,
    class_quantiles,
    conformal_quantile,
    conformal_scores,
    coverage,
    interval_scores,
    prediction_sets,
    score_sets,
    true_scores,
    widen,
)

from .conformal import mapie_classifier, torchcp

pytestmark = pytest.mark.peers
ALPHAS, SEEDS = [0.05, 0.1, 0.2, 0.3], range(3)


def drawn(seed: int, classes: int = 5, n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [2n, c] float32 and labels drawn from them with half their certainty."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2 * n, classes, generator=generator)
    return logits, torch.multinomial((0.5 * logits).softmax(1), 1, generator=generator)[:, 0]


def halves(logits, labels):
    n = len(labels) // 2
    return logits[:n], labels[:n], logits[n:], labels[n:]


@pytest.mark.parametrize(("alpha", "seed"), [*itertools.product(ALPHAS, SEEDS)])
def test_mapies_sets(alpha, seed):
    """LAC; APS with the random numbers that MAPIE draws from its seed, for calibration and again for prediction."""
    logits, labels, new, _ = halves(*drawn(seed))
    p, p_new = logits.double().softmax(1), new.double().softmax(1)
    q = conformal_quantile(conformal_scores(p, labels), alpha)
    np.testing.assert_array_equal(prediction_sets(p_new, q).numpy(), mapie_classifier("lac", p, labels, 1 - alpha)(p_new))
    u = torch.from_numpy(np.random.RandomState(0).uniform(size=len(p)))
    bound = conformal_quantile(true_scores(adaptive_scores(p, u), labels), alpha)
    theirs = mapie_classifier("aps", p, labels, 1 - alpha)(p_new, "randomized")
    np.testing.assert_array_equal(score_sets(adaptive_scores(p_new, u), bound).numpy(), theirs)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_mapies_intervals(alpha):
    """Conformalized quantile regression: the same three models, given as they are."""
    from mapie.regression import ConformalizedQuantileRegressor
    from sklearn.linear_model import QuantileRegressor

    rng = np.random.default_rng(0)
    x = rng.random((400, 1))
    y = x[:, 0] + (0.1 + x[:, 0]) * rng.standard_normal(400)
    models = [QuantileRegressor(quantile=share, alpha=0.0).fit(x[:100], y[:100]) for share in (alpha / 2, 1 - alpha / 2, 0.5)]
    mapie = ConformalizedQuantileRegressor(models, confidence_level=1 - alpha, prefit=True).conformalize(x[100:300], y[100:300])
    theirs = mapie.predict_interval(x[300:], symmetric_correction=True)[1][:, :, 0]
    low, high, low_new, high_new = (torch.from_numpy(models[m].predict(part)) for part in (x[100:300], x[300:]) for m in (0, 1))
    q = conformal_quantile(interval_scores(low, high, torch.from_numpy(y[100:300])), alpha)
    np.testing.assert_allclose(torch.stack(widen(low_new, high_new, q), 1).numpy(), theirs, atol=1e-9)


def test_mapies_toy_coverage():
    from mapie.metrics.classification import classification_coverage_score
    from mapie.tests.test_metrics import y_pred_set, y_true_class

    ours = coverage(torch.tensor(y_pred_set), torch.tensor(y_true_class))
    assert ours == pytest.approx(float(classification_coverage_score(y_true_class, y_pred_set)[0])) == 0.8


SCORES = {
    "LAC": (lambda peer: peer.LAC(), lambda p: 1 - p.double()),
    "APS": (lambda peer: peer.APS(randomized=False), adaptive_scores),
    "RAPS": (lambda peer: peer.RAPS(randomized=False, penalty=0.1, kreg=2), lambda p: adaptive_scores(p, None, 0.1, 2)),
}


@pytest.mark.parametrize(("score", "alpha", "seed"), [*itertools.product(SCORES, ALPHAS, SEEDS)])
def test_torchcps_scores_bounds_and_sets(score, alpha, seed):
    make, ours = SCORES[score]
    logits, labels, new, _ = halves(*drawn(seed))
    peer = torchcp().SplitPredictor(make(torchcp()), alpha=alpha)
    peer.calculate_threshold(logits, labels)
    own, own_new = ours(logits.softmax(1)), ours(new.softmax(1))
    torch.testing.assert_close(peer.cal_scores.double(), true_scores(own, labels), rtol=0, atol=1e-5)
    q = conformal_quantile(true_scores(own, labels), alpha)
    assert float(peer.q_hat) == pytest.approx(q, abs=1e-5)
    clear = (own_new - q).abs() > 1e-5
    assert clear.double().mean() > 0.79  # the last of five classes reaches 1, and the bound may lie there
    assert torch.equal(peer.predict_with_logits(new).bool()[clear], score_sets(own_new, q)[clear])


@pytest.mark.parametrize("seed", SEEDS)
def test_torchcps_bounds_per_class(seed):
    logits, labels, _, _ = halves(*drawn(seed, classes=4))
    peer = torchcp().ClassConditionalPredictor(torchcp().LAC(), alpha=0.2)
    peer.calculate_threshold(logits, labels)
    ours = class_quantiles(conformal_scores(logits.softmax(1), labels), labels, 0.2, 4)
    torch.testing.assert_close(peer.q_hat.double(), ours, rtol=0, atol=1e-5)


def test_torchcps_intervals():
    generator = torch.Generator().manual_seed(0)
    low, y = torch.randn(50, generator=generator), torch.randn(50, generator=generator)
    high = low + torch.rand(50, generator=generator)
    peer = torchcp().CQR()
    ours = interval_scores(low, high, y)
    assert torch.equal(peer(torch.stack([low, high], 1), y).flatten(), ours)
    q = conformal_quantile(ours, 0.1)
    theirs = peer.generate_intervals(torch.stack([low, high], 1), torch.tensor([q]))[:, 0]
    torch.testing.assert_close(theirs, torch.stack(widen(low, high, q), 1))
