"""Conformal sets: equal to MAPIE's, coverage inside its binomial interval over 500 splits, and the edges of the definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from scipy.stats import betabinom, binom
from sklearn.base import BaseEstimator, ClassifierMixin

from posttrain_lab.calibration import (
    adaptive_scores,
    class_quantiles,
    conformal_quantile,
    conformal_scores,
    coverage,
    prediction_sets,
    score_sets,
    true_scores,
)

from .drawing import as_numpy, drawn_labels, honest, modest

SPLITS = 500


class Told(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities are what it is given."""

    def fit(self, x, y):
        self.classes_ = np.arange(x.shape[1])
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(1)


def mapie_sets(p, labels, new, alpha, score, params=None):
    told = Told().fit(p.numpy(), labels.numpy())
    mapie = SplitConformalClassifier(told, confidence_level=1 - alpha, conformity_score=score, prefit=True, random_state=0)
    mapie.conformalize(*as_numpy(p, labels))
    return mapie.predict_set(new.numpy(), conformity_score_params=params)[1][:, :, 0]


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_sets_are_mapies(alpha, seed):
    logits, labels = honest(260, 5, seed=seed)
    p = (1.7 * logits).softmax(1)
    q = conformal_quantile(conformal_scores(p[:160], labels[:160]), alpha)
    ours = prediction_sets(p[160:], q).numpy()
    np.testing.assert_array_equal(ours, mapie_sets(p[:160], labels[:160], p[160:], alpha, "lac"))


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_adaptive_sets_are_mapies(alpha):
    logits, labels = honest(260, 5)
    p = (1.7 * logits).softmax(1)
    u, new_u = (torch.from_numpy(np.random.RandomState(0).uniform(size=n)) for n in (160, 100))
    q = conformal_quantile(true_scores(adaptive_scores(p[:160], u), labels[:160]), alpha)
    ours = score_sets(adaptive_scores(p[160:], new_u), q).numpy()
    theirs = mapie_sets(p[:160], labels[:160], p[160:], alpha, "aps", {"include_last_label": "randomized"})
    np.testing.assert_array_equal(ours, theirs)


def covered_over_splits(score_matrix, labels, alpha: float, n: int, m: int) -> int:
    """How many of SPLITS * m new examples are covered, when n + m are drawn again and again from a large pool?"""
    own, covered = true_scores(score_matrix, labels), 0
    generator = torch.Generator().manual_seed(0)
    for _ in range(SPLITS):
        index = torch.randperm(len(labels), generator=generator)[: n + m]
        q = conformal_quantile(own[index[:n]], alpha)
        covered += int((own[index[n:]] <= q).sum())
    return covered


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("kind", ["plain", "adaptive", "regularized"])
def test_coverage_over_500_splits_is_inside_its_interval(alpha, kind):
    # Given a calibration set, coverage is Beta(k, n + 1 - k) with k = ceil((n + 1)(1 - alpha)) (scores without ties), so each
    # split's count of m is beta-binomial; the sum of 500 such has a known mean and standard deviation.
    n, m = 99, 50
    logits, labels = honest(30_000, 6)
    p = (2.5 * logits).softmax(1)  # far too sure: coverage must not care
    u = torch.rand(30_000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    scores = {
        "plain": 1 - p,
        "adaptive": adaptive_scores(p, u),
        "regularized": adaptive_scores(p, u, penalty=0.1, free_ranks=2),
    }[kind]
    k = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    law = betabinom(m, k, n + 1 - k)
    mean, deviation = SPLITS * law.mean(), math.sqrt(SPLITS * law.var())
    found = covered_over_splits(scores, labels, alpha, n, m)
    assert abs(found - mean) < 2.576 * deviation  # 99 %
    assert mean / (SPLITS * m) == pytest.approx(1 - alpha)


def test_the_plain_quantile_breaks_the_promise_where_ours_keeps_it():
    n, alpha, missed, kept = 9, 0.1, 0, 0
    generator = torch.Generator().manual_seed(0)
    for _ in range(2000):
        scores = torch.rand(n + 1, generator=generator, dtype=torch.float64)
        missed += int(scores[-1] > torch.quantile(scores[:-1], 1 - alpha))
        kept += int(scores[-1] <= conformal_quantile(scores[:-1], alpha))
    assert binom.cdf(kept, 2000, 0.9) > 0.005
    assert binom.sf(missed - 1, 2000, 0.1) < 1e-6


@modest
@given(n=st.integers(1, 60), alpha=st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9]))
def test_the_quantile_is_the_kth_smallest_or_infinite(n, alpha):
    scores = torch.arange(1.0, n + 1)[torch.randperm(n, generator=torch.Generator().manual_seed(n))]
    exact = {0.01: (99, 100), 0.05: (19, 20), 0.1: (9, 10), 0.2: (4, 5), 0.25: (3, 4), 1 / 3: (2, 3), 0.5: (1, 2), 0.9: (1, 10)}
    above, below = exact[alpha]
    k = -(-(n + 1) * above // below)  # ceil in whole numbers
    assert conformal_quantile(scores, alpha) == (k if k <= n else math.inf)


def test_too_few_examples_name_every_class():
    assert conformal_quantile(torch.zeros(8), 0.1) == math.inf
    assert conformal_quantile(torch.zeros(9), 0.1) == 0
    assert prediction_sets(torch.tensor([[1.0, 0.0, 0.0]]), math.inf).all()


def test_the_bound_belongs_to_the_set():
    p = torch.tensor([[0.3, 0.7]])
    q = conformal_scores(p, torch.tensor([0])).item()
    assert prediction_sets(p, q).tolist() == [[True, True]]
    assert prediction_sets(p, np.nextafter(q, 0)).tolist() == [[False, True]]
    assert not prediction_sets(p, -1.0).any()


@modest
@given(seed=st.integers(0, 20), low=st.floats(0, 1), high=st.floats(0, 1))
def test_sets_grow_with_the_bound(seed, low, high):
    p = honest(20, 4, seed=seed)[0].softmax(1)
    low, high = sorted([low, high])
    assert not (prediction_sets(p, low) & ~prediction_sets(p, high)).any()
    scores = adaptive_scores(p)
    assert not (score_sets(scores, low) & ~score_sets(scores, high)).any()


def test_adaptive_scores_are_their_definition():
    p = torch.tensor([[0.2, 0.5, 0.3], [0.25, 0.25, 0.5]]).double()
    u = torch.tensor([0.5, 0.0]).double()
    want = [[1.0 - 0.1 + 0.2, 0.5 - 0.25, 0.8 - 0.15 + 0.1], [0.75 + 0.1, 1.0 + 0.2, 0.5]]
    assert torch.allclose(adaptive_scores(p, u, penalty=0.1, free_ranks=1), torch.tensor(want).double())


def test_a_penalty_makes_sets_smaller_and_adaptive_sets_grow_with_doubt():
    logits, labels = honest(4000, 20, spread=1.5)
    p = logits.softmax(1)
    u = torch.rand(4000, generator=torch.Generator().manual_seed(1)).double()

    def sizes(**how) -> torch.Tensor:
        scores = adaptive_scores(p, u, **how)
        return score_sets(scores[2000:], conformal_quantile(true_scores(scores[:2000], labels[:2000]), 0.1)).sum(1).double()

    aps = sizes()
    assert sizes(penalty=0.2, free_ranks=3).max() < aps.max()
    sure = p[2000:].max(1).values
    assert aps[sure < sure.median()].mean() > aps[sure >= sure.median()].mean()


def test_each_class_gets_its_coverage_where_one_bound_fails_one():
    # Class 2 is rare and hard: one bound for all leaves it out.
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([0.48, 0.48, 0.04]).expand(20_000, 3)
    labels = drawn_labels(truth)
    logits = 3 * torch.nn.functional.one_hot(labels, 3).double() + torch.randn(20_000, 3, generator=generator).double()
    logits[labels == 2] -= torch.tensor([0.0, 0.0, 3.0])
    p = logits.softmax(1)
    scores = conformal_scores(p, labels)
    half, rare = slice(0, 10_000), labels[10_000:] == 2
    one = prediction_sets(p[10_000:], conformal_quantile(scores[half], 0.1))
    each = score_sets(1 - p[10_000:], class_quantiles(scores[half], labels[half], 0.1, 3))
    assert coverage(one[rare], labels[10_000:][rare]) < 0.7
    for k in range(3):
        own = labels[10_000:] == k
        low, high = binom.interval(0.999, int(own.sum()), 0.9)
        slack = 3 * math.sqrt(0.09 / int((labels[half] == k).sum()))  # the bound itself was estimated
        share = coverage(each[own], labels[10_000:][own])
        assert low / own.sum() - slack < share < high / own.sum() + slack


def test_a_class_without_examples_is_in_every_set():
    q = class_quantiles(torch.tensor([0.5] * 20), torch.zeros(20).long(), 0.1, 2)
    assert q.tolist() == [0.5, math.inf]
    assert score_sets(torch.tensor([[0.9, 0.9]]), q).tolist() == [[False, True]]


P = torch.tensor([[0.5, 0.5]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: conformal_quantile(torch.tensor([0.5, math.nan]), 0.1), ValueError, "got NaN"),
        (lambda: conformal_quantile(torch.zeros(0), 0.1), ValueError, "n >= 1"),
        (lambda: conformal_quantile(torch.zeros(3), 0.0), ValueError, "0 < alpha < 1, got 0.0"),
        (lambda: conformal_quantile(torch.zeros(3), 1), ValueError, "0 < alpha < 1, got 1"),
        (lambda: conformal_quantile(torch.zeros(3), 10), ValueError, "0.1 means one in ten"),
        (lambda: conformal_quantile([0.5], 0.1), TypeError, "got list"),
        (lambda: prediction_sets(torch.tensor([[2.0, -1.0]]), 0.5), ValueError, "look like logits"),
        (lambda: prediction_sets(torch.tensor([[0.5, 0.6]]), 0.5), ValueError, "sum to 1"),
        (lambda: prediction_sets(P, math.nan), ValueError, "q to be a number, got nan"),
        (lambda: conformal_scores(P, torch.tensor([2])), ValueError, r"labels in 0\.\.1"),
        (lambda: adaptive_scores(P, torch.tensor([2.0])), ValueError, r"u in \[0, 1\]"),
        (lambda: adaptive_scores(P, torch.tensor([0.5, 0.5])), ValueError, "one u per row, got 2 for 1"),
        (lambda: adaptive_scores(P, penalty=-1.0), ValueError, "penalty >= 0"),
        (lambda: adaptive_scores(P, free_ranks=-1), ValueError, "free_ranks to be a whole number >= 0"),
        (lambda: score_sets(P, math.nan), ValueError, "got NaN"),
        (lambda: score_sets(P, torch.zeros(3).double()), ValueError, r"one per class \[2\], got shape \[3\]"),
        (lambda: coverage(P, torch.tensor([0])), TypeError, "sets as a bool Tensor"),
        (lambda: class_quantiles(torch.zeros(2), torch.tensor([0, 5]), 0.1, 2), ValueError, r"labels in 0\.\.1"),
    ],
)
def test_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()
