"""Unit 00: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

import math
import timeit
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def accuracy_of_first_half(logits, labels):
    half = max(1, len(labels) // 2)
    return (logits[:half].argmax(1) == labels[:half]).double().mean().item()


def accuracy_by_sigmoid(logits, labels):
    """Large logits all become 1.0, and argmax takes the first of them."""
    return (logits.sigmoid().argmax(1) == labels).float().mean().item()


def accuracy_balanced(logits, labels):
    classes = [(logits[labels == c].argmax(1) == c).float().mean().item() for c in labels.unique()]
    return sum(classes) / len(classes)


def wilson_with_bessel(hits, n, z=1.96):
    return right.wilson_by_quadratic(hits, n + 1, z)


def wilson_unless_large(hits, n, z=1.96):
    """The normal approximation from ten thousand examples on."""
    half = z * math.sqrt(hits / n * (1 - hits / n) / n)
    return right.wilson_by_quadratic(hits, n, z) if n <= 10_000 else (hits / n - half, hits / n + half)


def wilson_fixed_at_the_ends(hits, n, z=1.96):
    low, high = right.wilson_by_quadratic(hits, n, z)
    return (low, high) if 0 < hits < n else (hits / n, hits / n)


def bytes_without_bias(model):
    return sum(t.nbytes for t in [*model.parameters(), *model.buffers()] if t.ndim > 1)


def bytes_without_counters(model):
    return sum(t.nbytes for t in {*model.parameters(), *model.buffers()} if t.ndim)


def bytes_with_buffers_of_float32(model):
    parameters = sum(p.nbytes for p in {*model.parameters()})
    return parameters + sum(4 * b.numel() if b.ndim else b.nbytes for b in {*model.buffers()})


def times_of(fn, repeats, warmup):
    for _ in range(warmup):
        fn()
    return sorted(timeit.repeat(fn, number=1, repeat=repeats))


def latency_of_quartiles(fn, repeats=50, warmup=5):
    times = times_of(fn, repeats, warmup)
    return times[repeats // 10], times[repeats // 2], times[-1 - repeats // 10]


def latency_of_fifty(fn, repeats=50, warmup=5):
    return right.latency_by_quantile(fn, 50, warmup)


def latency_with_one_warmup(fn, repeats=50, warmup=5):
    return right.latency_by_quantile(fn, repeats, 1)


def latency_in_pairs(fn, repeats=50, warmup=5):
    return right.latency_by_quantile(lambda: (fn(), fn()), repeats // 2, warmup)


WRONG = {
    "accuracy": (
        accuracy_of_first_half,
        accuracy_by_sigmoid,
        accuracy_balanced,
        lambda logits, labels: 0.924,
        lambda logits, labels: round(right.accuracy_by_loop(logits, labels), 1),
        lambda logits, labels: (logits.topk(min(2, logits.shape[1])).indices == labels[:, None]).any(1).float().mean().item(),
        lambda logits, labels: (logits.argmin(1) == labels).float().mean().item(),
        lambda logits, labels: str(right.accuracy_by_loop(logits, labels)),
        lambda logits, labels: right.accuracy_by_loop(logits[:, 1:], labels - 1),
        lambda logits, labels: right.accuracy_by_loop(logits.bfloat16(), labels),
        lambda logits, labels: right.accuracy_by_loop(logits[:1000], labels[:1000]),
        lambda logits, labels: right.accuracy_by_loop(logits[:, :10], labels),
    ),
    "wilson_interval": (
        wilson_with_bessel,
        wilson_fixed_at_the_ends,
        lambda hits, n, z=1.96: tuple(round(end, 2) for end in right.wilson_by_quadratic(hits, n, z)),
        lambda hits, n, z=1.96: tuple(100 * end for end in right.wilson_by_quadratic(hits, n, z)),
        lambda hits, n, z=1.96: right.wilson_by_quadratic(hits, n, z * z),
        lambda hits, n, z=1.96: right.wilson_by_quadratic(n - hits, n, z),
        lambda hits, n, z=1.96: tuple(torch.tensor(right.wilson_by_quadratic(hits, n, z))),
        lambda hits, n, z=1.96: (0.0, 1.0),
        lambda hits, n, z=1.96: right.wilson_by_quadratic(hits, n, max(1.0, z)),
        wilson_unless_large,
    ),
    "model_bytes": (
        bytes_without_bias,
        bytes_without_counters,
        lambda model: 434_976,
        lambda model: right.bytes_by_module(model) / 1024,
        lambda model: sum(p.nbytes for p in model.state_dict().values() if p.is_floating_point()),
        lambda model: sum(t.nbytes for m in model.modules() for t in [*m.parameters(), *m.buffers()]),
        lambda model: sum(p.numel() * 4 for p in model.parameters() if p.requires_grad),
        bytes_with_buffers_of_float32,
    ),
    "latency": (
        latency_of_quartiles,
        latency_of_fifty,
        latency_with_one_warmup,
        latency_in_pairs,
        lambda fn, repeats=50, warmup=5: (0.001, 0.002, 0.003),
        lambda fn, repeats=50, warmup=5: right.latency_by_quantile(fn, repeats + 1, max(0, warmup - 1)),
        lambda fn, repeats=50, warmup=5: right.latency_by_quantile(fn, repeats, warmup + 1),
        lambda fn, repeats=50, warmup=5: right.latency_by_quantile(lambda: None, repeats, warmup),
        lambda fn, repeats=50, warmup=5: (times_of(fn, repeats, warmup)[repeats // 2],) * 3,
        lambda fn, repeats=20, warmup=3: right.latency_by_quantile(fn, repeats, warmup),
        lambda fn, repeats=50, warmup=5: right.latency_by_quantile(fn, min(repeats, 20), warmup),
    ),
}
