"""`auditing` against the packages of the field: captum for maps, shap for linear models, the Adversarial Robustness Toolbox for attacks."""

import warnings

import pytest
import torch
from torch import nn

from posttrain_lab.auditing import (
    fgsm,
    grad_cam,
    gradient_map,
    integrated_gradients,
    linear_shapley,
    occlusion,
    pgd,
    pgd_l2,
    rounded_network,
    straight_through,
)


def drawn(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 3)]
        return nn.Sequential(*layers).eval()


MODEL, X, Y = network(), 0.3 + 0.4 * drawn(5, 2, 6, 8), torch.tensor([0, 2, 1, 1, 0])
BASELINE = drawn(5, 2, 6, 8, seed=1)
EPS, STEPS = 0.1, 7


@pytest.fixture(scope="module")
def captum():
    return pytest.importorskip("captum.attr", reason="pip install captum")


@pytest.fixture(scope="module")
def classifier():
    """MODEL as the Adversarial Robustness Toolbox wraps it."""
    wrapped = pytest.importorskip("art.estimators.classification", reason="pip install adversarial-robustness-toolbox")
    return wrapped.PyTorchClassifier(network(), nn.CrossEntropyLoss(), (2, 6, 8), 3, clip_values=(0.0, 1.0), device_type="cpu")


def same(found, wanted):
    torch.testing.assert_close(found, torch.as_tensor(wanted).detach().reshape(found.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_gradients_on_the_way_are_those_of_captum(captum, bits):
    """Of the float network, and of rounded ones."""
    model = MODEL if bits == 32 else straight_through(rounded_network(MODEL, X, bits, bits))
    way = captum.IntegratedGradients(model).attribute(X.clone(), BASELINE, target=Y, n_steps=9, method="riemann_middle")
    same(integrated_gradients(model, X, BASELINE, Y, 9), way)
    same(gradient_map(model, X, Y), captum.Saliency(model).attribute(X.clone().requires_grad_(), target=Y, abs=False))


@pytest.mark.parametrize("window", [1, 2, 3, 6])
def test_occlusion_is_that_of_captum(captum, window):
    found = captum.Occlusion(MODEL).attribute(X[:1], (2, window, window), target=2, baselines=0.3)
    same(occlusion(MODEL, X[0], 2, window, 0.3), found[0, 0])


def test_grad_cam_is_that_of_captum(captum):
    target = torch.tensor([0, 0, 1, 2, 2])
    found = []
    for layer in (MODEL[0], MODEL[1]):
        coarse = captum.LayerGradCam(MODEL, layer).attribute(X, target=target, relu_attributions=True)
        found.append(grad_cam(MODEL, layer, X, target))
        same(found[-1], captum.LayerAttribution.interpolate(coarse, (6, 8), "bilinear"))
    assert all((cam > 0).any() for cam in found)


def test_shapley_values_of_a_linear_model_are_those_of_shap():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap sets up matplotlib's colours in an old way
        shap = pytest.importorskip("shap", reason="pip install shap")
    weight, x, background = drawn(4, seed=2) - 0.5, drawn(6, 4, seed=3), drawn(30, 4, seed=4)
    explainer = shap.LinearExplainer((weight.numpy(), 0.7), background.numpy())
    same(linear_shapley(weight, x, background), explainer.shap_values(x.numpy()))


@pytest.mark.parametrize("x", [X, drawn(5, 2, 6, 8, seed=5)], ids=["grey images", "images that reach the box"])
def test_one_step_is_that_of_the_toolbox(classifier, x):
    evasion = pytest.importorskip("art.attacks.evasion")
    same(fgsm(MODEL, x, Y, EPS), evasion.FastGradientMethod(classifier, eps=EPS).generate(x.numpy(), Y.numpy()))


@pytest.mark.parametrize(("norm", "attack", "eps"), [("inf", pgd, EPS), (2, pgd_l2, 0.6)])
def test_many_steps_are_those_of_the_toolbox(classifier, norm, attack, eps):
    evasion = pytest.importorskip("art.attacks.evasion")
    theirs = evasion.ProjectedGradientDescent(
        classifier, norm=norm, eps=eps, eps_step=eps / 3, max_iter=STEPS, num_random_init=0, verbose=False
    )
    found = attack(MODEL, X, Y, eps, eps / 3, STEPS, X)
    same(found, theirs.generate(X.numpy(), Y.numpy()))
    assert not torch.allclose(found, attack(MODEL, X, Y, eps, eps / 3, 1, X), atol=1e-3)
