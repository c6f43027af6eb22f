"""`auditing.attribution`: closed forms, brute force over coalitions, and finite differences as oracles."""

import itertools
import math

import pytest
import torch
from torch import nn

from posttrain_lab import auditing as lib
from posttrain_lab.auditing.attribution import (
    grad_cam,
    gradient_map,
    integrated_gradients,
    linear_shapley,
    occlusion,
    smooth_grad,
)
from posttrain_lab.models import fashion_cnn
from posttrain_lab.quantization import QuantizationConfig, quantize_model


def drawn(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)).eval()


TARGET = torch.tensor([0, 2, 1])


def logits_of(model, x, target=TARGET):
    with torch.no_grad():
        return model(x).gather(1, target[:, None])[:, 0]


def test_the_gradient_is_that_of_finite_differences():
    model, x = network().double(), drawn(3, 1, 6, 6).double()
    found, h = gradient_map(model, x, TARGET), 1e-6
    for i, j in itertools.product(range(6), range(6)):
        up, down = x.clone(), x.clone()
        up[:, 0, i, j] += h
        down[:, 0, i, j] -= h
        slope = (logits_of(model, up) - logits_of(model, down)) / (2 * h)
        torch.testing.assert_close(found[:, 0, i, j], slope, rtol=1e-4, atol=1e-6)


def test_integrated_gradients_of_a_linear_model_are_exact_with_one_step():
    model, x, baseline = nn.Linear(5, 3), drawn(3, 5), drawn(3, 5, seed=1)
    wanted = (x - baseline) * model.weight.detach()[TARGET]
    torch.testing.assert_close(integrated_gradients(model, x, baseline, TARGET, 1), wanted)


class Squares(nn.Module):
    """logits = (x^2 @ w)."""

    def forward(self, x):
        return x.square() @ torch.tensor([[1.0, 0.5, -2.0], [2.0, -1.0, 3.0]])


def test_integrated_gradients_of_a_quadratic_are_exact():
    """The midpoint rule is exact for linear gradients: each pixel contributes w (x^2 - baseline^2)."""
    x, baseline = drawn(3, 2), drawn(3, 2, seed=4)
    weights = torch.tensor([[1.0, 2.0], [-2.0, 3.0], [0.5, -1.0]])  # of the targets
    torch.testing.assert_close(
        integrated_gradients(Squares(), x, baseline, TARGET, 3), weights * (x.square() - baseline.square())
    )


def test_integrated_gradients_of_a_network_are_complete():
    model, x = network(), drawn(3, 1, 6, 6)
    baseline = torch.zeros_like(x)
    parts = integrated_gradients(model, x, baseline, TARGET, 64).flatten(1)
    change = logits_of(model, x) - logits_of(model, baseline)
    assert ((parts.sum(1) - change).abs() <= 5e-3 * parts.abs().sum(1)).all()
    finer = integrated_gradients(model, x, baseline, TARGET, 2048).flatten(1)
    assert ((finer.sum(1) - change).abs() <= 1e-4 * parts.abs().sum(1)).all()


def test_of_a_smooth_network_64_steps_are_complete_to_a_thousandth():
    model, x = network(), drawn(3, 1, 6, 6)
    model[1], model[2] = nn.GELU(), nn.AvgPool2d(2)
    baseline = torch.zeros_like(x)
    change = logits_of(model, x) - logits_of(model, baseline)
    torch.testing.assert_close(integrated_gradients(model, x, baseline, TARGET, 64).flatten(1).sum(1), change, rtol=1e-3, atol=0)


def test_occlusion_needs_no_gradient():
    """Also of a network of whole numbers."""
    quantized = quantize_model(network(), drawn(20, 1, 6, 6), QuantizationConfig(mode="integer"))
    image = drawn(1, 6, 6)
    hidden = image.clone()
    hidden[:, :, :] = 0.3
    drop = logits_of(quantized, image[None], TARGET[:1]) - logits_of(quantized, hidden[None], TARGET[:1])
    torch.testing.assert_close(occlusion(quantized, image, 0, 6, 0.3), drop.expand(6, 6))


def test_smooth_grad_is_the_mean_of_gradients_at_noisy_images():
    model, x = network(), drawn(3, 1, 6, 6)
    found = smooth_grad(model, x, TARGET, 0.1, 4, torch.Generator().manual_seed(5))
    noise = torch.Generator().manual_seed(5)
    wanted = sum(gradient_map(model, x + 0.1 * torch.randn(x.shape, generator=noise), TARGET) for _ in range(4)) / 4
    torch.testing.assert_close(found, wanted)


def test_grad_cam_by_hand():
    """A linear head on two maps: the weights are those of the head over the number of places."""
    first = nn.Conv2d(1, 2, 1, bias=False)
    first.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    model = nn.Sequential(first, nn.Flatten(), nn.Linear(8, 1, bias=False))
    model[2].weight.data = torch.tensor([[1.0, 2, 3, 4, -1, -1, -1, -1]])
    x = torch.tensor([[[[1.0, 2.0], [-3.0, 0.5]]]])
    wanted = (2.5 * x[:, 0] - 1.0 * -x[:, 0]).relu()
    torch.testing.assert_close(grad_cam(model, first, x, torch.tensor([0])), wanted)


def test_grad_cam_of_a_course_network_has_the_image_s_size_and_is_not_negative():
    model = fashion_cnn().eval()
    cam = grad_cam(model, model[10], drawn(2, 1, 28, 28), torch.tensor([1, 2]))
    assert cam.shape == (2, 28, 28)
    assert (cam >= 0).all()
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(("height", "width", "window"), [(5, 7, 3), (4, 4, 4), (3, 6, 1), (6, 5, 2)])
def test_occlusion_of_a_linear_model_is_a_sum_over_the_window(height, width, window):
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * height * width, 3))
    image, baseline = drawn(2, height, width), 0.4
    parts = (model[1].weight.detach()[1].reshape(2, height, width) * (image - baseline)).sum(0)
    found = occlusion(model, image, 1, window, baseline)
    for i, j in itertools.product(range(height), range(width)):
        drops = [
            parts[a : a + window, b : b + window].sum()
            for a, b in itertools.product(range(height - window + 1), range(width - window + 1))
            if a <= i < a + window and b <= j < b + window
        ]
        assert found[i, j].item() == pytest.approx(float(sum(drops) / len(drops)), abs=1e-5)


def test_linear_shapley_values_are_those_of_all_coalitions():
    weight, x, background = drawn(4, seed=1) - 0.5, drawn(2, 4, seed=2), drawn(9, 4, seed=3)

    def value(row, coalition):
        mixed = background.clone()
        mixed[:, list(coalition)] = row[list(coalition)]
        return float((mixed @ weight).mean())

    for i, j in itertools.product(range(2), range(4)):
        others, total = [k for k in range(4) if k != j], 0.0
        for size in range(4):
            for coalition in itertools.combinations(others, size):
                share = math.factorial(size) * math.factorial(3 - size) / math.factorial(4)
                total += share * (value(x[i], (*coalition, j)) - value(x[i], coalition))
        assert linear_shapley(weight, x, background)[i, j].item() == pytest.approx(total, abs=1e-6)


def test_a_model_in_train_mode_is_explained_as_in_eval_mode():
    model, x = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Dropout(), nn.Linear(36, 3)), drawn(3, 1, 6, 6)
    for explain in (
        lambda: gradient_map(model, x, TARGET),
        lambda: integrated_gradients(model, x, torch.zeros_like(x), TARGET, 3),
        lambda: occlusion(model, x[0], 1, 2, 0.0),
    ):
        model.train()
        found = explain()
        model.eval()
        assert torch.equal(found, explain())


def test_nothing_is_left_behind():
    model = network().train()
    model[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = drawn(3, 1, 6, 6)
    gradient_map(model, x, TARGET)
    integrated_gradients(model, x, torch.zeros_like(x), TARGET, 2)
    occlusion(model, x[0], 0, 2, 0.0)
    assert all(layer.training for layer in model.modules())
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert x.grad is None
    assert not x.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Codes(nn.Module):
    def forward(self, x):
        return x.detach().round().flatten(1)


class Roots(nn.Module):
    def forward(self, x):
        return x.flatten(1).sqrt()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: gradient_map(Codes(), drawn(3, 2, 2), TARGET), ValueError, "straight_through"),
        (lambda: gradient_map(Roots(), torch.zeros(3, 4), TARGET), ValueError, "finite gradients"),
        (lambda: gradient_map(network(), drawn(3, 1, 6, 6), torch.tensor([0, 3, 1])), ValueError, r"0\.\.2"),
        (lambda: gradient_map(network(), drawn(3, 1, 6, 6), TARGET[:2]), ValueError, "3 class numbers"),
        (lambda: gradient_map(network(), drawn(3, 1, 6, 6), TARGET.float()), TypeError, "whole numbers"),
        (lambda: gradient_map(Codes, drawn(3, 4), TARGET), Exception, "Module"),
        (lambda: integrated_gradients(network(), drawn(3, 1, 6, 6), torch.zeros(1, 6, 6), TARGET, 4), ValueError, "like x"),
        (lambda: integrated_gradients(network(), drawn(3, 1, 6, 6), drawn(3, 1, 6, 6), TARGET, 0), ValueError, "steps"),
        (lambda: smooth_grad(network(), drawn(3, 1, 6, 6), TARGET, -1.0, 3, torch.Generator()), ValueError, "sigma"),
        (lambda: occlusion(network(), drawn(1, 6, 6), 0, 7, 0.0), ValueError, "fits"),
        (lambda: occlusion(network(), drawn(1, 6, 6), 3, 2, 0.0), ValueError, r"0\.\.2"),
        (lambda: grad_cam(network(), nn.ReLU(), drawn(3, 1, 6, 6), TARGET), ValueError, "a layer of the model"),
        (lambda: linear_shapley(torch.ones(2), drawn(3, 3), drawn(3, 3)), ValueError, r"weight \[d\]"),
    ],
)
def test_bad_input_is_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_everything_can_be_imported_from_the_folder():
    assert lib.integrated_gradients is integrated_gradients
