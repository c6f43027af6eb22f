"""New class shares are found and used: exactly where the definition is exact, within sampling elsewhere."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from posttrain_lab.calibration import adjust_prior, black_box_shares, class_shares, nll, saerens_em

from .drawing import modest

OLD = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
NEW = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
CENTERS = torch.tensor([[0.0, 2.0], [1.5, -1.0], [-1.5, -1.0]], dtype=torch.float64)


def world(shares: torch.Tensor, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact posteriors under OLD, and labels, of points from three Gaussians with the given shares."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(shares, n, replacement=True, generator=generator)
    points = CENTERS[labels] + torch.randn(n, 2, generator=generator, dtype=torch.float64)
    log_density = -((points[:, None] - CENTERS) ** 2).sum(2) / 2
    return (log_density + OLD.log()).softmax(1), labels


@pytest.mark.parametrize("seed", range(3))
def test_both_find_the_new_shares(seed):
    p, labels = world(OLD, 20_000, seed)
    new, _ = world(NEW, 20_000, seed + 100)
    assert torch.allclose(saerens_em(new, OLD), NEW, atol=0.02)
    assert torch.allclose(black_box_shares(p.argmax(1), labels, new.argmax(1), 3), NEW, atol=0.03)


def test_using_them_improves_the_likelihood_and_the_accuracy():
    new, labels = world(NEW, 20_000, 7)
    corrected = adjust_prior(new, OLD, saerens_em(new, OLD))
    assert nll(corrected.log(), labels) < nll(new.log(), labels) - 0.1
    assert (corrected.argmax(1) == labels).double().mean() > (new.argmax(1) == labels).double().mean()
    exact = adjust_prior(new, OLD, NEW)
    assert nll(corrected.log(), labels) == pytest.approx(nll(exact.log(), labels), abs=1e-3)


def test_em_reaches_the_top_of_the_likelihood():
    p, _ = world(NEW, 300, 1)
    two = p[:, :2] / p[:, :2].sum(1, keepdim=True)
    old = torch.tensor([0.6, 0.4]).double()

    def loss(share: float) -> float:
        ratio = torch.tensor([share, 1 - share]).double() / old
        return -(two @ ratio).log().sum().item()

    best = minimize_scalar(loss, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-9}).x
    assert saerens_em(two, old)[0].item() == pytest.approx(best, abs=1e-5)


@modest
@given(weights=st.lists(st.floats(0.1, 1), min_size=3, max_size=3), seed=st.integers(0, 9))
def test_laws_of_the_correction(weights, seed):
    p, _ = world(OLD, 20, seed)
    new = torch.tensor(weights).double() / sum(weights)
    changed = adjust_prior(p, OLD, new)
    assert torch.allclose(changed.sum(1), torch.ones(20).double())
    assert torch.allclose(adjust_prior(p, OLD, OLD), p)
    assert torch.allclose(adjust_prior(changed, new, OLD), p)  # there and back


def test_without_shift_nothing_is_found():
    p, labels = world(OLD, 20_000, 3)
    assert torch.allclose(saerens_em(p, OLD), OLD, atol=0.02)
    same = black_box_shares(p.argmax(1), labels, p.argmax(1), 3)
    assert torch.allclose(same, class_shares(labels, 3), atol=1e-12)


P, HALF = torch.tensor([[0.5, 0.5]]), torch.tensor([0.5, 0.5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adjust_prior(torch.tensor([[2.0, -1.0]]), HALF, HALF), "look like logits"),
        (lambda: adjust_prior(P, HALF, torch.tensor([0.5, 0.6])), "new .* sum 1"),
        (lambda: adjust_prior(P, torch.tensor([1.0, 0.0]), HALF), "every old share above 0"),
        (lambda: adjust_prior(P, HALF, torch.tensor([1.5, -0.5])), "entries >= 0"),
        (lambda: adjust_prior(torch.tensor([[1.0, 0.0]]), HALF, torch.tensor([0.0, 1.0])), "new share is 0"),
        (lambda: saerens_em(P, torch.tensor([0.2, 0.2, 0.6])), r"old \[2\]"),
        (lambda: black_box_shares(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([0]), 2), "never predicted"),
        (lambda: black_box_shares(torch.tensor([0, 5]), torch.tensor([0, 1]), torch.tensor([0]), 2), r"labels in 0\.\.1"),
    ],
)
def test_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
