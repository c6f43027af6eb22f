"""Unit 00: right answers of another shape, and wrong answers that no message names. They prove the grader; students do not get them."""

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
    """The ends by bisection: where the score test stops to reject."""

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


# ---- wrong, and no message names it
def accuracy_of_first_half(logits, labels):
    half = max(1, len(labels) // 2)
    return (logits[:half].argmax(1) == labels[:half]).double().mean().item()


def accuracy_by_sigmoid(logits, labels):
    """Large logits all become 1.0, and the first of them wins."""
    return (logits.sigmoid().argmax(1) == labels).float().mean().item()


def accuracy_balanced(logits, labels):
    classes = [(logits[labels == c].argmax(1) == c).float().mean().item() for c in labels.unique()]
    return sum(classes) / len(classes)


def wilson_with_bessel(hits, n, z=1.96):
    return wilson_by_quadratic(hits, n + 1, z)


def wilson_fixed_at_the_ends(hits, n, z=1.96):
    low, high = wilson_by_quadratic(hits, n, z)
    return (low, high) if 0 < hits < n else (hits / n, hits / n)


def bytes_without_bias(model):
    return sum(t.nbytes for t in [*model.parameters(), *model.buffers()] if t.ndim > 1)


def bytes_without_counters(model):
    return sum(t.nbytes for t in {*model.parameters(), *model.buffers()} if t.ndim)


def times_of(fn, repeats, warmup):
    for _ in range(warmup):
        fn()
    return sorted(timeit.repeat(fn, number=1, repeat=repeats))


def latency_of_quartiles(fn, repeats=50, warmup=5):
    times = times_of(fn, repeats, warmup)
    return times[repeats // 10], times[repeats // 2], times[-1 - repeats // 10]


def latency_of_fifty(fn, repeats=50, warmup=5):
    return latency_by_quantile(fn, 50, warmup)


def latency_with_one_warmup(fn, repeats=50, warmup=5):
    return latency_by_quantile(fn, repeats, 1)


def latency_in_pairs(fn, repeats=50, warmup=5):
    return latency_by_quantile(lambda: (fn(), fn()), repeats // 2, warmup)


WRONG = {
    "accuracy": (
        accuracy_of_first_half,
        accuracy_by_sigmoid,
        accuracy_balanced,
        lambda logits, labels: 0.924,
        lambda logits, labels: round(accuracy_by_loop(logits, labels), 1),
        lambda logits, labels: (logits.topk(min(2, logits.shape[1])).indices == labels[:, None]).any(1).float().mean().item(),
        lambda logits, labels: (logits.argmin(1) == labels).float().mean().item(),
        lambda logits, labels: str(accuracy_by_loop(logits, labels)),
        lambda logits, labels: accuracy_by_loop(logits[:, 1:], labels - 1),
    ),
    "wilson_interval": (
        wilson_with_bessel,
        wilson_fixed_at_the_ends,
        lambda hits, n, z=1.96: tuple(round(end, 2) for end in wilson_by_quadratic(hits, n, z)),
        lambda hits, n, z=1.96: tuple(100 * end for end in wilson_by_quadratic(hits, n, z)),
        lambda hits, n, z=1.96: wilson_by_quadratic(hits, n, z * z),
        lambda hits, n, z=1.96: wilson_by_quadratic(n - hits, n, z),
        lambda hits, n, z=1.96: tuple(torch.tensor(wilson_by_quadratic(hits, n, z))),
        lambda hits, n, z=1.96: (0.0, 1.0),
    ),
    "model_bytes": (
        bytes_without_bias,
        bytes_without_counters,
        lambda model: 434_976,
        lambda model: bytes_by_module(model) / 1024,
        lambda model: float(bytes_by_module(model)),
        lambda model: sum(p.nbytes for p in model.state_dict().values() if p.is_floating_point()),
        lambda model: sum(t.nbytes for m in model.modules() for t in [*m.parameters(), *m.buffers()]),
        lambda model: sum(p.numel() * 4 for p in model.parameters() if p.requires_grad),
    ),
    "latency": (
        latency_of_quartiles,
        latency_of_fifty,
        latency_with_one_warmup,
        latency_in_pairs,
        lambda fn, repeats=50, warmup=5: (0.001, 0.002, 0.003),
        lambda fn, repeats=50, warmup=5: latency_by_quantile(fn, repeats + 1, max(0, warmup - 1)),
        lambda fn, repeats=50, warmup=5: latency_by_quantile(fn, repeats, warmup + 1),
        lambda fn, repeats=50, warmup=5: latency_by_quantile(lambda: None, repeats, warmup),
        lambda fn, repeats=50, warmup=5: (times_of(fn, repeats, warmup)[repeats // 2],) * 3,
    ),
}
