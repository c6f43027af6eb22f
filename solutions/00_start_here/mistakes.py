"""Unit 00: right answers of another shape, and wrong answers that no message names. They prove the grader; students do not get them."""

import math
import timeit

import numpy as np
import torch


# ---- right, written another way
def accuracy_by_loop(logits, labels):
    hits = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        hits += row.index(max(row)) == label
    return hits / len(labels)


def accuracy_in_numpy(logits, labels):
    return float(np.mean(logits.numpy().argmax(axis=1) == labels.numpy()))


def wilson_by_quadratic(hits, n, z=1.96):
    """The two roots of (p - x)^2 = z^2 x (1 - x) / n."""
    p = hits / n
    a, b, c = 1 + z * z / n, -(2 * p + z * z / n), p * p
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def bytes_by_storage(model):
    places = {}
    for tensor in list(model.parameters()) + list(model.buffers()):
        places[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return sum(places.values())


def bytes_by_itemsize(model):
    return sum(t.numel() * t.dtype.itemsize for t in {*model.parameters(), *model.buffers()})


def latency_by_quantile(fn, repeats=50, warmup=5):
    for _ in range(warmup):
        fn()
    times = torch.tensor(timeit.repeat(fn, number=1, repeat=repeats), dtype=torch.float64)
    return tuple(torch.quantile(times, torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)).tolist())


ALTERNATIVES = {
    "accuracy": (accuracy_by_loop, accuracy_in_numpy),
    "wilson_interval": (wilson_by_quadratic,),
    "model_bytes": (bytes_by_storage, bytes_by_itemsize),
    "latency": (latency_by_quantile,),
}


# ---- wrong, and no message names it
def accuracy_of_first_half(logits, labels):
    half = max(1, len(labels) // 2)
    return (logits[:half].argmax(1) == labels[:half]).double().mean().item()


def wilson_with_bessel(hits, n, z=1.96):
    return wilson_by_quadratic(hits, n + 1, z)


def bytes_without_bias(model):
    return sum(t.nbytes for t in [*model.parameters(), *model.buffers()] if t.ndim > 1)


def latency_of_quartiles(fn, repeats=50, warmup=5):
    for _ in range(warmup):
        fn()
    times = sorted(timeit.repeat(fn, number=1, repeat=repeats))
    return times[repeats // 10], times[repeats // 2], times[-1 - repeats // 10]


WRONG = {
    "accuracy": (accuracy_of_first_half, lambda logits, labels: 0.924),
    "wilson_interval": (wilson_with_bessel,),
    "model_bytes": (bytes_without_bias, lambda model: 434_976),
    "latency": (latency_of_quartiles, lambda fn, repeats=50, warmup=5: (0.001, 0.002, 0.003)),
}
