"""Vector and Dirichlet calibration against scikit-learn's multinomial regression, planted parameters and their optimality."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from posttrain_lab.calibration import apply_temperature, fit_dirichlet, fit_temperature, fit_vector, nll

from .drawing import drawn_labels, honest

pytestmark = pytest.mark.portable


def test_a_planted_factor_and_shift_come_back():
    logits, _ = honest(100_000, 4)
    weight, bias = torch.tensor([0.5, 1.0, 1.5, 0.8]).double(), torch.tensor([0.5, -0.5, 0.0, 0.0]).double()
    labels = drawn_labels((logits * weight + bias).softmax(1))
    found = fit_vector(logits, labels)
    assert torch.allclose(found.weight.diag(), weight, rtol=0.03, atol=0)
    assert torch.allclose(found.bias - found.bias.mean(), bias - bias.mean(), atol=0.03)


def test_free_dirichlet_is_multinomial_regression_on_log_probabilities():
    logits, labels = honest(600, 3)
    logits = 2 * logits + torch.tensor([0.5, 0.0, -0.5])
    x = logits.log_softmax(1)
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=500, solver="newton-cg").fit(x.numpy(), labels.numpy())
    ours = fit_dirichlet(logits, labels, off_diagonal=0, intercept=0)
    np.testing.assert_allclose(ours(logits).softmax(1).numpy(), model.predict_proba(x.numpy()), atol=1e-5)


def odir(theta: torch.Tensor, x: torch.Tensor, labels: torch.Tensor, penalty: float) -> torch.Tensor:
    """The objective as written in the docstring, by loops over the penalty."""
    weight, bias = theta[:-1], theta[-1]
    c = len(bias)
    outside = sum(weight[i, j] ** 2 for i in range(c) for j in range(c) if i != j)
    nothing = torch.nn.functional.cross_entropy(x @ weight.T + bias, labels)
    return nothing + penalty * outside / (c * (c - 1)) + penalty * (bias**2).mean()


@pytest.mark.parametrize("penalty", [0.001, 0.1, 10.0])
def test_dirichlet_is_at_the_bottom_of_its_objective(penalty):
    logits, labels = honest(300, 4)
    x = (3 * logits).log_softmax(1)
    found = fit_dirichlet(3 * logits, labels, penalty, penalty)
    theta = torch.cat([found.weight, found.bias[None]]).requires_grad_()
    odir(theta, x, labels, penalty).backward()
    assert theta.grad.abs().max() < 1e-6


def test_a_large_penalty_leaves_the_diagonal_only():
    logits, labels = honest(500, 3)
    found = fit_dirichlet(logits, labels, 1e6, 1e6)
    assert (found.weight - found.weight.diag().diag()).abs().max() < 1e-4
    assert found.bias.abs().max() < 1e-4


def test_more_parameters_fit_better_where_they_are_fitted():
    logits, labels = honest(400, 5)
    logits = 1.5 * logits + torch.randn(5, generator=torch.Generator().manual_seed(3)).double()
    temperature = nll(apply_temperature(logits, fit_temperature(logits, labels)), labels)
    vector = nll(fit_vector(logits, labels)(logits), labels)
    free = nll(fit_dirichlet(logits, labels, 0, 0)(logits), labels)
    assert free < vector < temperature


@pytest.mark.parametrize("fit", [fit_vector, fit_dirichlet])
def test_fits_leave_the_input_and_keep_the_dtype(fit):
    logits, labels = honest(300, 3)
    given = logits.float()
    kept = given.clone()
    scaling = fit(given, labels)
    assert scaling(given).dtype == torch.float32
    assert torch.equal(given, kept)
    with pytest.raises(ValueError, match="fitted for 3 classes"):
        scaling(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="got NaN"):
        scaling(torch.full((1, 3), torch.nan))


@pytest.mark.parametrize("fit", [fit_vector, fit_dirichlet])
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1]), "these are probabilities"),
        (torch.tensor([[2.0, 0.0], [3.0, 1.0]]), torch.tensor([0, 0]), "every class, got none of class 1"),
        (torch.tensor([[2.0, float("nan")]]), torch.tensor([0]), "got NaN"),
    ],
)
def test_refuse(fit, logits, labels, message):
    with pytest.raises(ValueError, match=f"^{fit.__name__} wants .*{message}"):
        fit(logits, labels)


@pytest.mark.parametrize("fit", [fit_vector, lambda z, y: fit_dirichlet(z, y, 0, 0)])
def test_separated_classes_have_no_finite_answer(fit):
    logits = torch.tensor([[2.0, 0.0, -1.0], [-1.0, 3.0, 0.0], [0.0, -1.0, 2.0]]).repeat(4, 1)
    with pytest.raises(ValueError, match="No finite answer: the features separate the labels"):
        fit(logits, torch.tensor([0, 1, 2] * 4))


def test_a_negative_penalty_is_refused():
    logits, labels = honest(50, 3)
    with pytest.raises(ValueError, match="penalties >= 0, got -1"):
        fit_dirichlet(logits, labels, -1.0)
