"""Choosing what to label: laws, an oracle for each score, and what is refused."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from posttrain_lab.finetuning import core_set, disagreement, entropy, margin, select_by_disagreement, select_for_labelling
from posttrain_lab.finetuning.active import METHODS


def logits_of(n: int, c: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(n, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 20), c=st.integers(2, 6), part=st.floats(0, 1), seed=st.integers(0, 99), method=st.sampled_from(METHODS))
def test_k_different_indices_the_most_uncertain_first(n, c, part, seed, method):
    logits, k = logits_of(n, c, seed), int(part * n)
    chosen = select_for_labelling(logits, k, method, seed)
    assert len(set(chosen.tolist())) == len(chosen) == k
    assert torch.equal(chosen, select_for_labelling(logits, n, method, seed)[:k])
    p = softmax(logits.numpy(), axis=1)
    ordered = torch.from_numpy(p).sort(1, descending=True).values
    scores = {"entropy": torch.from_numpy(scipy_entropy(p, axis=1)), "margin": ordered[:, 1] - ordered[:, 0]}.get(method)
    if scores is not None:
        assert torch.allclose(scores[chosen], scores.sort(descending=True).values[:k], atol=1e-9)


def test_random_is_seeded_and_ties_keep_their_order():
    logits = torch.zeros(50, 3)
    assert torch.equal(select_for_labelling(logits, 9, "random", 1), select_for_labelling(logits, 9, "random", 1))
    assert not torch.equal(select_for_labelling(logits, 9, "random", 1), select_for_labelling(logits, 9, "random", 2))
    for method in ("entropy", "margin"):
        assert select_for_labelling(logits, 4, method).tolist() == [0, 1, 2, 3]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 9), k=st.integers(1, 3), seed=st.integers(0, 99))
def test_core_set_covers_within_twice_the_best(n, k, seed):
    """Gonzalez 1985: the farthest point is at most twice as far as for the best k points, found here by trying all."""
    k = min(k, n)
    features = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    distance = cdist(features.numpy(), features.numpy())
    chosen = core_set(features, k, seed=seed)
    assert len(set(chosen.tolist())) == k
    best = min(distance[:, list(some)].min(1).max() for some in itertools.combinations(range(n), k))
    assert distance[:, chosen.numpy()].min(1).max() <= 2 * best + 1e-5


def test_core_set_begins_far_from_what_is_labelled_and_never_repeats():
    points = torch.tensor([[0.0], [0.0], [9.0], [5.0]])
    assert core_set(points, 4, labelled=torch.tensor([[0.0]])).tolist()[:2] == [2, 3]
    assert sorted(core_set(torch.zeros(4, 2), 4).tolist()) == [0, 1, 2, 3]
    assert len(core_set(points, 0)) == 0


@settings(max_examples=30, deadline=None)
@given(members=st.integers(2, 5), n=st.integers(1, 8), seed=st.integers(0, 99))
def test_disagreement_is_the_mean_divergence_from_the_mean(members, n, seed):
    logits = logits_of(members * n, 3, seed).reshape(members, n, 3)
    p = softmax(logits.numpy(), axis=2)
    want = torch.from_numpy(scipy_entropy(p, p.mean(0)[None].repeat(members, 0), axis=2).mean(0))
    assert torch.allclose(disagreement(logits), want, atol=1e-9)
    assert torch.equal(disagreement(logits.flip(0)).argsort(), disagreement(logits).argsort())
    chosen = select_by_disagreement(logits, n)
    assert sorted(chosen.tolist()) == list(range(n))
    assert (want[chosen].diff() <= 1e-9).all()


def test_members_that_are_alike_do_not_disagree():
    logits = logits_of(6, 3, 0)
    assert disagreement(torch.stack((logits, logits))).max() < 1e-12


def test_scores_at_the_ends():
    sure, even = torch.tensor([[500.0, 0.0, 0.0]]), torch.zeros(1, 4)
    assert entropy(sure).item() == 0
    assert entropy(even).item() == pytest.approx(torch.tensor(4.0).log().item())
    assert margin(sure).item() == 1
    assert margin(even).item() == 0


@pytest.mark.parametrize("k", [-1, 4, True, 2.0])
def test_wrong_counts_are_named(k):
    for call in (lambda: select_for_labelling(torch.zeros(3, 2), k, "margin"), lambda: core_set(torch.zeros(3, 2), k)):
        with pytest.raises(ValueError, match="wants k from 0 to 3, the number of examples"):
            call()


def test_wrong_methods_and_numbers_are_named():
    with pytest.raises(ValueError, match="one of random, entropy, margin, got 'best'"):
        select_for_labelling(torch.zeros(3, 2), 1, "best")
    with pytest.raises(ValueError, match="finite numbers, got NaN"):
        select_for_labelling(torch.full((3, 2), torch.nan), 1, "entropy")
    with pytest.raises(ValueError, match="at least two members"):
        disagreement(torch.zeros(1, 3, 2))
    with pytest.raises(ValueError, match="equal widths"):
        core_set(torch.zeros(3, 2), 1, labelled=torch.zeros(1, 3))
    with pytest.raises(ValueError, match="at least two classes"):
        margin(torch.zeros(3, 1))
