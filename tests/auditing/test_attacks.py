"""`auditing.attacks`: for a linear model the worst image is known in closed form; everything is measured against it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.auditing.attacks import (
    fgsm,
    into_ball,
    margins,
    pgd,
    pgd_l2,
    square_attack,
    transfer_matrix,
    uniform_start,
    worst_case_accuracy,
)


def drawn(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def linear(pixels, classes=2, seed=1):
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))
    model[1].weight.data = drawn(classes, pixels, seed=seed) - 0.5
    return model


def worst_margin(model, x, y, eps):
    """min over the ball and the box of the margin of a linear model of two classes: every pixel goes as far as it may against it."""
    weight = model[1].weight.detach()
    towards = weight[y] - weight[1 - y]  # the margin's gradient
    low, high = (x - eps).clamp(min=0).flatten(1), (x + eps).clamp(max=1).flatten(1)
    bias = model[1].bias.detach()
    return (towards * torch.where(towards > 0, low, high)).sum(1) + bias[y] - bias[1 - y]


MODEL, X, Y = linear(24), drawn(9, 1, 4, 6), torch.tensor([0, 1, 1, 0, 0, 1, 0, 1, 1])
EPS = 0.2


def walk(model=MODEL, x=X, y=Y, eps=EPS, step=0.05, steps=12, start=X):
    return pgd(model, x, y, eps, step, steps, start)


def test_fgsm_reaches_the_worst_margin_of_a_linear_model():
    moved = fgsm(MODEL, X, Y, EPS)
    torch.testing.assert_close(margins(MODEL, moved, Y), worst_margin(MODEL, X, Y, EPS))
    assert (moved - X).abs().max() <= EPS + 1e-7
    assert 0 <= moved.min() <= moved.max() <= 1


@pytest.mark.parametrize("seed", [None, 0, 5])
def test_pgd_reaches_it_too_from_any_start(seed):
    start = X if seed is None else uniform_start(X, EPS, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(margins(MODEL, walk(start=start), Y), worst_margin(MODEL, X, Y, EPS))


def test_on_a_linear_model_the_loss_never_falls_below_that_of_the_start():
    start = uniform_start(X, EPS, torch.Generator().manual_seed(3))
    losses = [F.cross_entropy(MODEL(moved), Y) for moved in (start, *(walk(steps=k, start=start) for k in (1, 3, 9)))]
    assert losses == sorted(losses)


def test_a_start_outside_is_projected_first():
    assert torch.equal(walk(start=X + 7), walk(start=into_ball(X + 7, X, EPS)))


def test_the_l2_attack_of_a_linear_model_goes_along_its_weights():
    x = torch.full((3, 1, 4, 6), 0.5)
    y, eps = torch.tensor([0, 1, 0]), 0.3
    moved = pgd_l2(MODEL, x, y, eps, 0.1, 8, x)
    gap = MODEL[1].weight.detach()[1 - y] - MODEL[1].weight.detach()[y]
    torch.testing.assert_close((moved - x).flatten(1), eps * F.normalize(gap), rtol=1e-4, atol=1e-5)
    clamped = pgd_l2(MODEL, X, Y, 2.0, 0.5, 8, X)
    assert 0 <= clamped.min() <= clamped.max() <= 1
    assert ((clamped - X).flatten(1).norm(dim=1) <= 2.0 + 1e-5).all()


def test_one_image_s_attack_does_not_depend_on_the_others():
    for attack in (
        lambda x, y: fgsm(MODEL, x, y, EPS),
        lambda x, y: walk(x=x, y=y, start=x),
        lambda x, y: pgd_l2(MODEL, x, y, 1.0, 0.2, 5, x),
    ):
        alone = torch.cat([attack(X[i : i + 1], Y[i : i + 1]) for i in range(len(Y))])
        torch.testing.assert_close(attack(X, Y), alone)


def test_a_gradient_too_small_for_a_mean_still_moves_the_pixels():
    """A very sure image among many: its summed loss has a gradient, and its sign is all that counts."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    model[1].weight.data = 3.5 * (drawn(2, 24, seed=4) - 0.5)
    y = model(X).argmax(1)
    assert ((fgsm(model, X, y, 0.01) - X).abs() > 0).all()


def test_the_square_attack_comes_near_the_worst_margin_without_gradients():
    class NoGradients(nn.Module):
        def forward(self, x):
            return MODEL(x).detach()

    before, worst = margins(MODEL, X, Y), worst_margin(MODEL, X, Y, EPS)
    moved = square_attack(NoGradients(), X, Y, EPS, 400, torch.Generator().manual_seed(0))
    reached = (before - margins(MODEL, moved, Y)) / (before - worst)
    assert reached.min() > 0.7
    assert reached.max() <= 1 + 1e-5
    assert (moved - X).abs().max() <= EPS + 1e-6
    assert 0 <= moved.min() <= moved.max() <= 1


def test_more_queries_never_hurt_the_attacker():
    """The same random numbers: the first queries are the same squares only if the schedule is, so compare the two ends."""
    few, many = (square_attack(MODEL, X, Y, EPS, q, torch.Generator().manual_seed(2)) for q in (1, 200))
    assert (margins(MODEL, many, Y) <= margins(MODEL, few, Y)).all()


def test_everything_is_repeatable_by_its_generator():
    for make in (lambda g: uniform_start(X, EPS, g), lambda g: square_attack(MODEL, X, Y, EPS, 20, g)):
        first, again, other = (make(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_the_transfer_matrix_says_who_is_fooled_by_whose_images():
    models = {"one": MODEL, "opposite": linear(24, seed=1)}
    models["opposite"][1].weight.data.neg_()
    models["opposite"][1].bias.data = -MODEL[1].bias.data
    found = transfer_matrix(models, X, Y, lambda model, x, y: fgsm(model, x, y, 1.0))
    assert found["one"] == {"one": 0.0, "opposite": 1.0}
    assert found["opposite"] == {"one": 1.0, "opposite": 0.0}


def test_the_worst_case_counts_an_image_only_if_no_attack_succeeds():
    correct = drawn(4, 200) < 0.8
    wanted = sum(all(column) for column in correct.T.tolist()) / 200
    assert worst_case_accuracy(correct) == pytest.approx(wanted)
    assert worst_case_accuracy(correct) < correct.double().mean(1).min()


def test_a_model_in_train_mode_is_attacked_as_in_eval_mode():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24), nn.Dropout(), nn.Linear(24, 2))
    for attack in (
        lambda: fgsm(model, X, Y, EPS),
        lambda: walk(model=model),
        lambda: square_attack(model, X, Y, EPS, 9, torch.Generator().manual_seed(1)),
    ):
        model.train()
        found = attack()
        model.eval()
        assert torch.equal(found, attack())


def test_gradients_that_the_weights_hold_are_the_caller_s():
    model = linear(24)
    F.cross_entropy(model(X), Y).backward()
    before = [p.grad.clone() for p in model.parameters()]
    fgsm(model, X, Y, EPS)
    walk(model=model)
    assert all(torch.equal(p.grad, old) for p, old in zip(model.parameters(), before, strict=True))


def test_nothing_is_left_behind():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24), nn.Dropout(), nn.Linear(24, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fgsm(model, X, Y, EPS)
    walk(model=model)
    square_attack(model, X, Y, EPS, 3, torch.Generator())
    assert all(layer.training for layer in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not X.requires_grad


class Codes(nn.Module):
    def forward(self, x):
        return x.detach().flatten(1)[:, :2]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: fgsm(MODEL, X, Y, -0.1), ValueError, "eps to be a finite number >= 0"),
        (lambda: fgsm(MODEL, 255 * X, Y, 8.0), ValueError, r"pixels in \[0, 1\]"),
        (lambda: fgsm(MODEL, X - 0.5, Y, EPS), ValueError, r"pixels in \[0, 1\]"),
        (lambda: fgsm(MODEL, X / 0, Y, EPS), ValueError, "finite"),
        (lambda: fgsm(MODEL, X, Y + 1, EPS), ValueError, r"0\.\.1"),
        (lambda: fgsm(MODEL, X, Y - 2, EPS), ValueError, r"0\.\.1"),
        (lambda: walk(eps=-0.1), ValueError, "eps to be a finite number >= 0"),
        (lambda: pgd_l2(MODEL, X, Y, -0.1, 0.1, 2, X), ValueError, "eps to be a finite number >= 0"),
        (lambda: uniform_start(X, -0.1, torch.Generator()), ValueError, "eps to be a finite number >= 0"),
        (lambda: square_attack(MODEL, X, Y, -0.1, 2, torch.Generator()), ValueError, "eps to be a finite number >= 0"),
        (lambda: fgsm(MODEL, X, Y[:3], EPS), ValueError, "9 class numbers"),
        (lambda: fgsm(MODEL, X[:0], Y[:0], EPS), ValueError, "n >= 1"),
        (lambda: fgsm(Codes(), X, Y, EPS), ValueError, "straight_through"),
        (lambda: fgsm(MODEL, (255 * X).byte(), Y, EPS), TypeError, "floating-point"),
        (lambda: walk(step=-1.0), ValueError, "step"),
        (lambda: walk(steps=0), ValueError, "steps"),
        (lambda: walk(start=X[:1]), ValueError, "start like x"),
        (lambda: square_attack(MODEL, X, Y, EPS, 0, torch.Generator()), ValueError, "queries"),
        (lambda: worst_case_accuracy(torch.ones(2, 3)), TypeError, "bool"),
        (lambda: worst_case_accuracy(torch.ones(3, dtype=torch.bool)), ValueError, "stack"),
    ],
)
def test_bad_input_is_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_gradient_that_is_no_number_is_named():
    class Roots(nn.Module):
        def forward(self, x):
            return x.flatten(1).sqrt()[:, :2]

    with pytest.raises(ValueError, match="finite gradients"):
        fgsm(Roots(), torch.zeros(2, 4), torch.tensor([0, 1]), 0.1)
