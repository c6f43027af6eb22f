"""Unit 00: right answers, written in another way. They prove the grader; students do not get them."""

import math
import time
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


def accuracy_by_topk(logits, labels):
    return logits.topk(1).indices.squeeze(1).eq(labels).double().mean().item()


def wilson_by_search(hits, n, z=1.96):
    """The ends by bisection: where the score test no longer rejects."""

    def end(inside, outside):
        for _ in range(60):
            middle = (inside + outside) / 2
            rejected = (hits / n - middle) ** 2 > z * z * middle * (1 - middle) / n
            inside, outside = (inside, middle) if rejected else (middle, outside)
        return inside

    return end(hits / n, 0.0), end(hits / n, 1.0)


def wilson_in_numpy(hits, n, z=1.96):
    signs = np.array([-1.0, 1.0])
    inner = np.sqrt(hits * (n - hits) / n + z**2 / 4)
    return [float(end) for end in np.clip((hits + z**2 / 2 + signs * z * inner) / (n + z**2), 0, 1)]


def bytes_by_module(model):
    seen, total = set(), 0
    for module in model.modules():
        for tensor in [*module._parameters.values(), *module._buffers.values()]:
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                total += tensor.element_size() * math.prod(tensor.shape)
    return total


def latency_by_rank(fn, repeats=50, warmup=5):
    times = []
    for call in range(warmup + repeats):
        start = time.perf_counter_ns()
        fn()
        if call >= warmup:
            times.append((time.perf_counter_ns() - start) / 1e9)
    times.sort()
    return tuple(times[max(0, math.ceil(share * repeats) - 1)] for share in (0.2, 0.5, 0.8))


def latency_in_numpy(fn, repeats=50, warmup=5):
    for _ in range(warmup):
        fn()
    stamps = [time.monotonic()]
    for _ in range(repeats):
        fn()
        stamps.append(time.monotonic())
    return [float(q) for q in np.percentile(np.diff(stamps), [20, 50, 80])]


ALTERNATIVES = {
    "accuracy": (accuracy_by_loop, accuracy_in_numpy, accuracy_by_topk),
    "wilson_interval": (wilson_by_quadratic, wilson_by_search, wilson_in_numpy),
    "model_bytes": (bytes_by_storage, bytes_by_itemsize, bytes_by_module),
    "latency": (latency_by_quantile, latency_by_rank, latency_in_numpy),
}
