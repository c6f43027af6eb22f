"""Unit 07: right answers of another shape. They prove the grader; students do not get them."""

import copy
import math
from collections import Counter
from contextlib import contextmanager
from statistics import NormalDist

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.auditing import Rounding


# ---- mcnemar
def mcnemar_in_python(first, second):
    b = sum(1 for f, s in zip(first.tolist(), second.tolist(), strict=True) if f and not s)
    c = sum(1 for f, s in zip(first.tolist(), second.tolist(), strict=True) if s and not f)
    if b == c:
        return 1.0
    term, total = 1, 1
    for k in range(1, min(b, c) + 1):
        term = term * (b + c - k + 1) // k
        total += term
    return min(1.0, total / 2 ** (b + c - 1))


def mcnemar_by_logs(first, second):
    only = (first.int() - second.int())[first != second]
    n, low = len(only), min(int((only > 0).sum()), int((only < 0).sum()))
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(low + 1)]
    return min(1.0, 2 * sum(map(math.exp, logs)))


def mcnemar_by_scipy(first, second):
    from scipy.stats import binomtest

    b, n = int(torch.logical_and(first, ~second).sum()), int(torch.logical_xor(first, second).sum())
    return float(binomtest(b, n).pvalue) if n else 1.0


# ---- identified_exemplars, class_damage
def exemplars_by_counters(dense, compressed):
    def modal(column):
        counts = Counter(column)
        most = max(counts.values())
        return min(label for label, count in counts.items() if count == most)

    return torch.tensor([modal(a) != modal(b) for a, b in zip(dense.T.tolist(), compressed.T.tolist(), strict=True)])


def exemplars_in_numpy(dense, compressed):
    modes = [np.array([np.bincount(column).argmax() for column in part.numpy().T]) for part in (dense, compressed)]
    return torch.from_numpy(modes[0] != modes[1])


def exemplars_by_comparing(dense, compressed):
    def modal(labels):
        candidates = labels.unique()
        votes = (labels[None] == candidates[:, None, None]).sum(1)
        return candidates[votes.argmax(0)]

    return modal(dense).ne(modal(compressed))


def damage_model_by_model(dense, compressed, labels, classes):
    found = []
    for part in (dense, compressed):
        rows = []
        for predicted in part:
            hit = predicted == labels
            recall = [hit[labels == c].float().mean().item() for c in range(classes)]
            rows.append([r - hit.float().mean().item() for r in recall])
        found.append(np.mean(rows, axis=0))
    return torch.tensor(found[1] - found[0])


def damage_by_matrix(dense, compressed, labels, classes):
    member = torch.zeros(classes, len(labels), dtype=torch.float64)
    member[labels, torch.arange(len(labels))] = 1
    a, b = ((part == labels).double().mean(0) for part in (compressed, dense))
    return member @ (a - b) / member.sum(1) - (a - b).mean()


def damage_in_python(dense, compressed, labels, classes):
    truth = labels.tolist()

    def rate(part, wanted):
        hits = [p == t for row in part.tolist() for p, t in zip(row, truth, strict=True) if wanted is None or t == wanted]
        return sum(hits) / len(hits) if hits else math.nan

    whole = rate(compressed, None) - rate(dense, None)
    return torch.tensor([rate(compressed, c) - rate(dense, c) - whole for c in range(classes)])


# ---- integrated_gradients
def integrated_at_once(model, x, baseline, target, steps):
    """All places in one batch."""
    a = (torch.arange(steps, dtype=x.dtype) + 0.5) / steps
    a = a.reshape(-1, *[1] * x.ndim)
    with torch.no_grad():
        at = (baseline + a * (x - baseline)).flatten(0, 1)
    at.requires_grad_()
    logits = model(at)
    chosen = logits[torch.arange(len(at)), target.repeat(steps)]
    (slopes,) = torch.autograd.grad(chosen, at, torch.ones_like(chosen))
    return (x - baseline) * slopes.unflatten(0, (steps, -1)).mean(0)


def integrated_image_by_image(model, x, baseline, target, steps):
    found = []
    for image, start, label in zip(x, baseline, target.tolist(), strict=True):
        slopes = []
        for k in range(steps):
            at = torch.lerp(start, image, (k + 0.5) / steps).unsqueeze(0).requires_grad_()
            slopes.append(torch.autograd.grad(model(at)[0, label], at)[0][0])
        found.append((image - start) * sum(slopes) / steps)
    return torch.stack(found)


def integrated_by_func(model, x, baseline, target, steps):
    def own(z):
        return (model(z) * F.one_hot(target, model(z).shape[1])).sum()

    slope = torch.func.grad(own)
    places = [(2 * k + 1) / (2 * steps) for k in range(steps)]
    return (x - baseline) * torch.stack([slope(baseline * (1 - a) + a * x).detach() for a in places]).mean(0)


# ---- occlusion
@torch.no_grad()
def occlusion_in_one_batch(model, image, target, window, baseline):
    h, w = image.shape[1:]
    corners = [(i, j) for i in range(h - window + 1) for j in range(w - window + 1)]
    hidden = image.expand(len(corners), -1, -1, -1).clone()
    cover = torch.zeros(len(corners), h, w, dtype=image.dtype)
    for k, (i, j) in enumerate(corners):
        hidden[k, :, i : i + window, j : j + window] = baseline
        cover[k, i : i + window, j : j + window] = 1
    drops = model(image[None])[:, target] - model(hidden)[:, target]
    return (drops[:, None, None] * cover).sum(0) / cover.sum(0)


def occlusion_by_lists(model, image, target, window, baseline):
    h, w = image.shape[1:]
    drops = [[[] for _ in range(w)] for _ in range(h)]
    with torch.inference_mode():
        whole = model(image.unsqueeze(0)).squeeze(0)[target].item()
        for top in range(0, h - window + 1):
            for left in range(0, w - window + 1):
                copy_ = image.clone()
                copy_[..., top : top + window, left : left + window].fill_(baseline)
                drop = whole - model(copy_.unsqueeze(0)).squeeze(0)[target].item()
                for i in range(top, top + window):
                    for j in range(left, left + window):
                        drops[i][j].append(drop)
    return torch.tensor([[sum(cell) / len(cell) for cell in row] for row in drops], dtype=image.dtype)


def occlusion_by_fold(model, image, target, window, baseline):
    """The squares are columns of F.unfold; F.fold adds them up again."""
    c, h, w = image.shape
    ones = torch.ones(1, 1, h, w, dtype=image.dtype)
    count = F.fold(F.unfold(ones, window), (h, w), window)[0, 0]
    places = F.unfold(torch.arange(h * w, dtype=torch.float64).reshape(1, 1, h, w), window)[0].long().T
    drops = []
    with torch.no_grad():
        before = model(image[None])[0, target]
        for place in places:
            flat = image.clone().reshape(c, -1)
            flat[:, place] = baseline
            drops.append(before - model(flat.reshape(1, c, h, w))[0, target])
    columns = torch.stack(drops).expand(window * window, -1)[None]
    return F.fold(columns, (h, w), window)[0, 0] / count


# ---- rank_agreement
def agreement_by_scipy(a, b):
    from scipy.stats import rankdata

    x, y = (rankdata(m.flatten().numpy()) for m in (a, b))
    with np.errstate(all="ignore"):
        return float(np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std())) if x.std() * y.std() else math.nan


def agreement_by_pairs(a, b):
    def ranks(x):
        x = x.flatten()
        below, equal = (x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1)
        return below.double() + (equal - 1) / 2

    x, y = ranks(a), ranks(b)
    if x.unique().numel() < 2 or y.unique().numel() < 2:
        return float("nan")
    return torch.corrcoef(torch.stack([x, y]))[0, 1].item()


def agreement_in_python(a, b):
    def ranks(values):
        order, found, at = sorted(range(len(values)), key=values.__getitem__), [0.0] * len(values), 0
        while at < len(order):
            end = at
            while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
                end += 1
            for k in range(at, end + 1):
                found[order[k]] = (at + end) / 2
            at = end + 1
        return found

    x, y = ranks(a.flatten().tolist()), ranks(b.flatten().tolist())
    mean = (len(x) - 1) / 2
    top = sum((p - mean) * (q - mean) for p, q in zip(x, y, strict=True))
    bottom = math.sqrt(sum((p - mean) ** 2 for p in x) * sum((q - mean) ** 2 for q in y))
    return top / bottom if bottom > 0 else math.nan


# ---- fgsm, pgd
@contextmanager
def asked(model):
    """In eval mode, every layer's own mode afterwards."""
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    yield
    for layer, mode in modes.items():
        layer.training = mode


def slope_by_log_softmax(model, x, y):
    z = x.detach().clone()
    z.requires_grad = True
    with asked(model):
        loss = -model(z).log_softmax(1)[torch.arange(len(y)), y].sum()
    return torch.autograd.grad(loss, z)[0]


def fgsm_by_log_softmax(model, x, y, eps):
    return torch.clip(x + eps * torch.sign(slope_by_log_softmax(model, x, y)), 0.0, 1.0)


def fgsm_on_a_copy(model, x, y, eps):
    twin = copy.deepcopy(model).eval()
    moving = nn.Parameter(x.clone())
    nn.CrossEntropyLoss(reduction="sum")(twin(moving), y).backward()
    direction = torch.where(moving.grad > 0, 1.0, torch.where(moving.grad < 0, -1.0, 0.0)).to(x.dtype)
    return torch.minimum(torch.maximum(x + eps * direction, torch.zeros_like(x)), torch.ones_like(x))


def fgsm_image_by_image(model, x, y, eps):
    was = model.training
    model.eval()
    found = []
    for image, label in zip(x, y, strict=True):
        one = image[None].clone().requires_grad_()
        (g,) = torch.autograd.grad(F.nll_loss(F.log_softmax(model(one), 1), label[None]), one)
        found.append((one.detach() + eps * g.sign()).clamp(0, 1))
    model.train(was)
    return torch.cat(found)


def pgd_by_changes(model, x, y, eps, step, steps, start):
    """Walks with the change instead of the image."""
    change = ((start - x).clamp(-eps, eps) + x).clamp(0, 1) - x
    for _ in range(steps):
        change = change + step * slope_by_log_softmax(model, x + change, y).sign()
        change = (x + change.clamp(-eps, eps)).clamp(0, 1) - x
    return x + change


def pgd_on_a_copy(model, x, y, eps, step, steps, start):
    twin = copy.deepcopy(model).eval()
    low, high = torch.clamp(x - eps, 0, 1), torch.clamp(x + eps, 0, 1)
    z = torch.max(torch.min(start, high), low)
    k = 0
    while k < steps:
        z = z.detach().requires_grad_(True)
        F.cross_entropy(twin(z), y, reduction="sum").backward()
        z = torch.max(torch.min(z + step * z.grad.sign(), high), low)
        k += 1
    return z.detach()


def pgd_with_an_optimizer(model, x, y, eps, step, steps, start):
    def project(z):
        return torch.minimum(torch.maximum(z, x - eps), x + eps).clamp(0, 1)

    z = nn.Parameter(project(start).clone())
    sgd = torch.optim.SGD([z], lr=step, maximize=True)
    for _ in range(steps):
        z.grad = slope_by_log_softmax(model, z, y).sign()
        sgd.step()
        z.data = project(z.data)
    return z.detach().clone()


# ---- straight_through
class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        return layer(x).clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class PassingLayer(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return Through.apply(x, self.layer)


def straight_by_a_function(quantized):
    return nn.Sequential(*[PassingLayer(m) if isinstance(m, Rounding) else m for m in quantized])


class StraightNetwork(nn.Module):
    """Runs the layers itself."""

    def __init__(self, quantized):
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(list(quantized)))

    def forward(self, x):
        for layer in self.layers:
            if type(layer) is Rounding:
                x = x + (layer(x) - x).detach()
            else:
                x = layer(x)
        return x


def straight_by_names(quantized):
    new = copy.deepcopy(quantized)
    for name, child in quantized.named_children():
        if isinstance(child, Rounding):
            setattr(new, name, PassingLayer(child))
    return new


# ---- worst_case_accuracy
def worst_in_numpy(correct):
    return float(np.mean(np.all(correct.numpy(), axis=0)))


def worst_by_min(correct):
    return correct.int().amin(0).float().mean().item()


def worst_in_python(correct):
    good = 0
    for i in range(correct.shape[1]):
        good += not any(not bool(correct[a, i]) for a in range(correct.shape[0]))
    return good / correct.shape[1]


# ---- certified_radius
def radius_by_scipy(top_count, n, sigma, alpha):
    from scipy.stats import beta, norm

    bound = beta.ppf(alpha, top_count, n - top_count + 1) if top_count > 0 else 0.0
    return float(sigma * norm.ppf(bound)) if bound > 0.5 else 0.0


def radius_by_bisection(top_count, n, sigma, alpha):
    def tail(p):
        logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(top_count, n + 1)]
        return sum(math.exp(c + k * math.log(p) + (n - k) * math.log(1 - p)) for k, c in enumerate(logs, start=top_count))

    if tail(0.5) >= alpha:
        return 0.0
    low, high = 0.5, 1 - 1e-16
    for _ in range(80):
        middle = (low + high) / 2
        if tail(middle) < alpha:
            low = middle
        else:
            high = middle
    return sigma * NormalDist().inv_cdf(low)


def radius_from_the_other_side(top_count, n, sigma, alpha):
    """The upper bound of the failures."""
    k = np.arange(n - top_count + 1)
    choose = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k.tolist()])
    low, high = 1e-300, 1 - 1e-16
    for _ in range(200):
        q = (low + high) / 2
        few = np.exp(choose + k * math.log(q) + (n - k) * math.log1p(-q)).sum()  # P(failures <= n - top_count)
        low, high = (q, high) if few > alpha else (low, q)
    return 0.0 if top_count == 0 or high >= 0.5 else -sigma * NormalDist().inv_cdf(high)


ALTERNATIVES = {
    "mcnemar": (mcnemar_in_python, mcnemar_by_logs, mcnemar_by_scipy),
    "identified_exemplars": (exemplars_by_counters, exemplars_in_numpy, exemplars_by_comparing),
    "class_damage": (damage_model_by_model, damage_by_matrix, damage_in_python),
    "integrated_gradients": (integrated_at_once, integrated_image_by_image, integrated_by_func),
    "occlusion": (occlusion_in_one_batch, occlusion_by_lists, occlusion_by_fold),
    "rank_agreement": (agreement_by_scipy, agreement_by_pairs, agreement_in_python),
    "fgsm": (fgsm_by_log_softmax, fgsm_on_a_copy, fgsm_image_by_image),
    "pgd": (pgd_by_changes, pgd_on_a_copy, pgd_with_an_optimizer),
    "straight_through": (straight_by_a_function, StraightNetwork, straight_by_names),
    "worst_case_accuracy": (worst_in_numpy, worst_by_min, worst_in_python),
    "certified_radius": (radius_by_scipy, radius_by_bisection, radius_from_the_other_side),
}
