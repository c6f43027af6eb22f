"""Unit 07: wrong answers that no message names. They prove the grader, as alternatives.py does."""

import copy
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def changed(answer, after):
    """A right answer with another result."""
    return lambda *args, **kwargs: after(answer(*args, **kwargs))


def constant(value):
    return lambda *args, **kwargs: value


def like_images(answer):
    """The answer for the first two images only; the others stay."""

    def lazy(model, x, y, *rest):
        rest = tuple(r[:2] if isinstance(r, torch.Tensor) else r for r in rest)
        return torch.cat([answer(model, x[:2], y[:2], *rest), x[2:]])

    return lazy


def plain_slope(model, x, y):
    z = x.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(z), y), z)[0]


def clearing(answer):
    """A right answer that clears the gradients which the weights held."""

    def cleared(model, *args, **kwargs):
        result = answer(model, *args, **kwargs)
        model.zero_grad()
        return result

    return cleared


def fgsm_twice(model, x, y, eps):
    half = right.fgsm_by_log_softmax(model, x, y, eps / 2)
    return right.fgsm_by_log_softmax(model, half, y, eps / 2)


def fgsm_soft(model, x, y, eps):
    g = plain_slope(copy.deepcopy(model).eval(), x, y)
    return (x + eps * torch.tanh(1e4 * g)).clamp(0, 1)


def fgsm_of_the_margin(model, x, y, eps):
    z, twin = x.clone().requires_grad_(), copy.deepcopy(model).eval()
    logits = twin(z)
    other = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    g = torch.autograd.grad((other - logits.gather(1, y[:, None])[:, 0]).sum(), z)[0]
    return (x + eps * g.sign()).clamp(0, 1)


def pgd_with_momentum(model, x, y, eps, step, steps, start):
    low, high, speed = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1), torch.zeros_like(x)
    z = start.clamp(low, high)
    for _ in range(steps):
        g = right.slope_by_log_softmax(model, z, y)
        speed = 0.9 * speed + g / g.abs().mean()
        z = (z + step * speed.sign()).clamp(low, high)
    return z


def pgd_in_l2(model, x, y, eps, step, steps, start):
    z = start.clamp((x - eps).clamp(0, 1), (x + eps).clamp(0, 1))
    for _ in range(steps):
        g = right.slope_by_log_softmax(model, z, y)
        z = (z + step * g / g.flatten(1).norm(dim=1).reshape(-1, *[1] * (g.ndim - 1)).clamp_min(1e-12)).clamp(0, 1)
    return z


def pgd_best_of_ends(model, x, y, eps, step, steps, start):
    return right.fgsm_by_log_softmax(model, x, y, eps)


def occluded_channels_apart(model, image, target, window, baseline):
    parts = []
    for c in range(len(image)):

        def one(z, c=c):
            full = image.expand(len(z), -1, -1, -1).clone()
            full[:, c] = z[:, c]
            return model(full)

        parts.append(right.occlusion_in_one_batch(one, image, target, window, baseline + 0.01 * c))
    return sum(parts) * 1.001


def integrated_half_way(model, x, baseline, target, steps):
    return right.integrated_at_once(model, (x + baseline) / 2, baseline, target, steps)


def integrated_one_step(model, x, baseline, target, steps):
    return right.integrated_at_once(model, x, baseline, target, 1)


def integrated_noisy(model, x, baseline, target, steps):
    return right.integrated_at_once(model, x, baseline, target, steps + 1)


def straight_to_zero(quantized):
    new = nn.Sequential(*[right.PassingLayer(m) for m in copy.deepcopy(quantized)])
    return new


def straight_of_the_last(quantized):
    return nn.Sequential(nn.Identity(), *copy.deepcopy(list(quantized)))


def straight_half(quantized):
    class Half(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x).detach() + 0.5 * (x - x.detach())

    return nn.Sequential(*[Half(m) if isinstance(m, right.Rounding) else m for m in quantized])


WRONG = {
    "mcnemar": (
        constant(0.5),
        changed(right.mcnemar_in_python, lambda p: round(p, 3)),
        lambda first, second: right.mcnemar_in_python(first[: len(first) // 2], second[: len(second) // 2]),
        lambda first, second: float((first != second).double().mean()),
    ),
    "identified_exemplars": (
        lambda dense, compressed: torch.zeros(dense.shape[1], dtype=torch.bool),
        lambda dense, compressed: right.exemplars_in_numpy(dense[:3], compressed),
        lambda dense, compressed: dense.double().var(0) > compressed.double().var(0),
        lambda dense, compressed: (dense[:, None] != compressed[None]).all(0).all(0),
    ),
    "class_damage": (
        changed(right.damage_by_matrix, lambda d: d - d.nanmean()),
        changed(right.damage_by_matrix, torch.abs),
        lambda dense, compressed, labels, classes: right.damage_by_matrix(dense, compressed, labels, classes) * 0.99,
        lambda dense, compressed, labels, classes: torch.zeros(classes),
    ),
    "integrated_gradients": (
        integrated_half_way,
        integrated_one_step,
        integrated_noisy,
        clearing(right.integrated_at_once),
    ),
    "occlusion": (
        occluded_channels_apart,
        changed(right.occlusion_in_one_batch, lambda m: m - m.min()),
        changed(right.occlusion_in_one_batch, lambda m: m.T),
        changed(right.occlusion_in_one_batch, torch.relu),
    ),
    "rank_agreement": (
        constant(1.0),
        changed(right.agreement_by_pairs, lambda r: round(r, 2) if r == r else r),
        lambda a, b: right.agreement_by_pairs(a.round(), b.round()),
        lambda a, b: float((a.sign() == b.sign()).double().mean()),
    ),
    "fgsm": (
        fgsm_twice,
        fgsm_soft,
        fgsm_of_the_margin,
        like_images(right.fgsm_by_log_softmax),
        lambda model, x, y, eps: x.clone(),
        clearing(right.fgsm_by_log_softmax),
    ),
    "pgd": (pgd_with_momentum, pgd_in_l2, pgd_best_of_ends, like_images(right.pgd_on_a_copy), clearing(right.pgd_on_a_copy)),
    "straight_through": (straight_to_zero, straight_of_the_last, straight_half),
    "worst_case_accuracy": (
        lambda correct: float(correct[:2].all(0).double().mean()),
        lambda correct: float(correct.all()),
        lambda correct: float(correct.double().mean(0).prod()),
        lambda correct: float(correct.all(0).double().median()),
    ),
    "certified_radius": (
        lambda top_count, n, sigma, alpha: sigma * top_count / n if 2 * top_count > n else 0.0,
        changed(right.radius_by_scipy, lambda r: round(r, 2)),
        lambda top_count, n, sigma, alpha: right.radius_by_scipy(top_count, n, sigma, 0.05),
        lambda top_count, n, sigma, alpha: right.radius_by_scipy(min(top_count + 1, n), n, sigma, alpha),
    ),
}
