"""Unit 11: right answers of another shape. They prove the grader; students do not get them."""

import copy
import math
from collections import Counter, defaultdict

import numpy as np
import torch
from torch import nn


# ---- group_report
def groups_in_python(logits, labels, groups):
    found = defaultdict(lambda: [0, 0])
    for row, label, group in zip(logits.tolist(), labels.tolist(), groups.tolist(), strict=True):
        found[group][0] += row.index(max(row)) == label
        found[group][1] += 1
    return {group: (hits, n, *wilson(hits, n)) for group, (hits, n) in found.items()}


def wilson(hits, n, z=1.959964):
    """The roots of (p - share)^2 = z^2 p (1 - p) / n."""
    a, b, c = 1 + z * z / n, -(2 * hits / n + z * z / n), (hits / n) ** 2
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def groups_in_numpy(logits, labels, groups):
    z, y, g = logits.numpy(), labels.numpy(), groups.numpy()
    right = z.argmax(1) == y
    return {
        int(k): (int(right[g == k].sum()), int((g == k).sum()), *wilson(right[g == k].sum(), (g == k).sum()))
        for k in set(g.tolist())
    }


def groups_by_counters(logits, labels, groups):
    from posttrain_lab.metrics import wilson_interval

    total = Counter(groups.tolist())
    right = Counter(groups[logits.max(dim=1).indices.eq(labels)].tolist())
    return {group: (right[group], n, *wilson_interval(right[group], n)) for group, n in total.items()}


# ---- leak_check
def leak_by_moving_train(train, other, tolerance=0.15):
    nearest = torch.full((len(other),), math.inf)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            rows = torch.roll(train, shifts=(dy, dx), dims=(-2, -1)).flatten(1)
            nearest = torch.minimum(nearest, torch.stack([(rows - b).square().sum(1).min() for b in other.flatten(1)]))
    return (nearest.sqrt() / other.flatten(1).norm(dim=1) < tolerance).float().mean().item()


def leak_in_numpy(train, other, tolerance=0.15):
    a, found = train.double().numpy(), 0
    for b in other.double().numpy():
        moved = [np.roll(b, (dy, dx), (1, 2)) for dy in range(-2, 3) for dx in range(-2, 3)]
        found += any(np.sqrt(((a - m) ** 2).sum((1, 2, 3))).min() < tolerance * np.sqrt((b**2).sum()) for m in moved)
    return found / len(other)


# ---- company
def company_part_by_part(model, x):
    twin, worst = copy.deepcopy(model), 0.0
    with torch.inference_mode():
        whole = twin(x)
        start = 0
        for part in torch.chunk(x, 4):
            worst = max(worst, float((twin(part) - whole[start : start + len(part)]).abs().max()))
            start += len(part)
    return worst


def company_without_gradients(model, x):
    model = copy.deepcopy(model).requires_grad_(False)
    gap = model(x) - torch.vstack([model(quarter) for quarter in torch.chunk(x, chunks=4, dim=0)])
    return max(gap.max().item(), -gap.min().item())


# ---- state_difference
def difference_in_numpy(before, after):
    report = {}
    for name in before:
        a, b = (np.asarray(s[name].tolist(), dtype=np.float64).ravel() for s in (before, after))
        moved, size = np.linalg.norm(b - a), np.linalg.norm(a)
        report[name] = 0.0 if moved == 0 else float(moved / size) if size else math.inf
    return report


def difference_by_squares(before, after):
    def change(a, b):
        a, b = a.to(torch.float64), b.to(torch.float64)
        moved = math.sqrt((b - a).pow(2).sum())
        if not moved:
            return 0.0
        size = math.sqrt(a.pow(2).sum())
        return moved / size if size else math.inf

    return {name: change(tensor, after[name]) for name, tensor in before.items()}


# ---- same_answers
def same_by_modes(a, b, x):
    modes = [[layer.training for layer in model.modules()] for model in (a, b)]
    with torch.inference_mode():
        first, second = (model.eval()(x) for model in (a, b))
    for model, kept in zip((a, b), modes, strict=True):
        for layer, mode in zip(model.modules(), kept, strict=True):
            layer.training = mode
    gap = (first - second).abs()
    return float("inf") if gap.isnan().any() else float(gap.max())


def same_of_copies(a, b, x):
    a, b = (copy.deepcopy(model).eval().requires_grad_(False) for model in (a, b))
    return float(torch.nan_to_num((a(x) - b(x)).abs(), nan=math.inf).max())


def same_by_norm(a, b, x):
    a, b = (copy.deepcopy(model).eval() for model in (a, b))
    with torch.no_grad():
        gap = torch.linalg.vector_norm(a(x) - b(x), ord=math.inf).item()
    return gap if gap == gap else math.inf


# ---- grid_report
def grid_in_python(weight, axis=0):
    rows = [part.flatten().tolist() for part in weight.unbind(axis)]
    n, top = weight.numel(), 0
    for row in rows:
        largest = max(abs(v) for v in row)
        top += sum(1 for v in row if v and abs(v) >= largest - 1e-6 * largest)
    return sum(v == 0 for row in rows for v in row) / n, max(len(set(row)) for row in rows), top / n


def grid_in_numpy(weight, axis=0):
    w = np.moveaxis(weight.numpy(), axis, 0).reshape(weight.shape[axis], -1)
    size = np.abs(w.astype(np.float64))
    top = (size > 0) & (size >= size.max(1, keepdims=True) * (1 - 1e-6))
    return float((w == 0).mean()), max(np.unique(row).size for row in w), float(top.mean())


# ---- gradient_report
def gradients_by_backward(model, loss):
    """backward() itself, with all that it changes put back."""
    kept = {name: p.grad for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = None
    if loss.requires_grad:
        loss.backward(retain_graph=True)
    report = {}
    for name, p in model.named_parameters():
        size = 0.0 if p.grad is None else float(torch.linalg.vector_norm(p.grad))
        report[name] = (size / max(float(torch.linalg.vector_norm(p.detach())), 1e-12), p.requires_grad)
        p.grad = kept[name]
    return report


def gradients_one_by_one(model, loss):
    def size(p):
        if not (loss.requires_grad and p.requires_grad):
            return 0.0
        (gradient,) = torch.autograd.grad(loss, p, allow_unused=True, retain_graph=True)
        return 0.0 if gradient is None else gradient.pow(2).sum().sqrt().item()

    return {
        name: (size(p) / max(p.detach().pow(2).sum().sqrt().item(), 1e-12), p.requires_grad)
        for name, p in model.named_parameters()
    }


# ---- overfit_one_batch
def overfit_with_a_running_best(model, loss_of, x, y, steps=100, lr=1e-2):
    model, best = copy.deepcopy(model), math.inf
    model.train()
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr)
    for _ in range(steps):
        loss = loss_of(model(x), y)
        best = min(best, float(loss.detach()))
        for p in model.parameters():
            p.grad = None
        loss.backward()
        optimizer.step()
    return best


def overfit_by_hand(model, loss_of, x, y, steps=100, lr=1e-2):
    """Adam written out."""
    twin = copy.deepcopy(model).train()
    live = [p for p in twin.parameters() if p.requires_grad]
    m, v, losses = [torch.zeros_like(p) for p in live], [torch.zeros_like(p) for p in live], []
    for t in range(1, steps + 1):
        loss = loss_of(twin(x), y)
        losses.append(loss.item())
        for i, (p, g) in enumerate(zip(live, torch.autograd.grad(loss, live), strict=True)):
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g * g
            p.data -= lr * (m[i] / (1 - 0.9**t)) / ((v[i] / (1 - 0.999**t)).sqrt() + 1e-8)
    return min(losses)


# ---- count_calls
def calls_by_a_list(model, work):
    counted = [0]

    def note(module, args, output):
        counted[0] += output.shape[0]

    handle = model.register_forward_hook(note)
    try:
        work()
        return counted[0]
    finally:
        handle.remove()


def calls_by_replacing_forward(model, work):
    forward, total = model.forward, []

    def watched(*args, **kwargs):
        output = forward(*args, **kwargs)
        total.append(len(output))
        return output

    model.forward = watched
    try:
        work()
    finally:
        del model.forward
    return sum(total)


class Counting:
    """A context that counts."""

    def __init__(self, model):
        self.model, self.total = model, 0

    def __enter__(self):
        self.hook = self.model.register_forward_hook(self.note)
        return self

    def __exit__(self, *error):
        self.hook.remove()

    def note(self, module: nn.Module, inputs, output):
        self.total += output.size(0)


def calls_by_a_context(model, work):
    with Counting(model) as counting:
        work()
    return counting.total


ALTERNATIVES = {
    "group_report": (groups_in_python, groups_in_numpy, groups_by_counters),
    "leak_check": (leak_by_moving_train, leak_in_numpy),
    "company": (company_part_by_part, company_without_gradients),
    "state_difference": (difference_in_numpy, difference_by_squares),
    "same_answers": (same_by_modes, same_of_copies, same_by_norm),
    "grid_report": (grid_in_python, grid_in_numpy),
    "gradient_report": (gradients_by_backward, gradients_one_by_one),
    "overfit_one_batch": (overfit_with_a_running_best, overfit_by_hand),
    "count_calls": (calls_by_a_list, calls_by_replacing_forward, calls_by_a_context),
}
