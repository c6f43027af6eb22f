"""The exercises of unit 00: how good is a network, how sure are we, how large is it, how fast?

Conventions that the notebook states in the same words:
- accuracy: a plain float between 0 and 1; there are no ties between logits in the cases.
- wilson_interval: a pair (low, high) of plain floats; z is an argument.
- model_bytes: parameters and buffers, each number as wide as its dtype; a tensor that two layers share counts once.
- latency: (p20, p50, p80) in seconds of `repeats` measured calls, after `warmup` calls that are not measured. Which of the usual
  definitions of a percentile is used does not matter: the cases have equal durations around each of the three.
"""

import math

import torch
from torch import Tensor

from posttrain_lab.checks.compare import close
from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.sizing import BYTES_MISTAKES, bytes_cases, right_bytes
from posttrain_lab.checks.timing import LATENCY_LAWS, LATENCY_MISTAKES, latency_cases, right_latency

UNIT = "00_start_here"


# ---- accuracy
def _right_accuracy(logits: Tensor, labels: Tensor) -> float:
    return int((logits.max(dim=1).indices == labels).sum()) / len(labels)


def _scored(draw: Draw, n: int, classes: int, hits: int) -> tuple[Tensor, Tensor]:
    """Logits without ties and labels of which `hits` are right."""
    logits = draw.normal(n, classes, std=2.0)
    labels = logits.argmax(1)
    wrong = torch.tensor(draw.shuffled(range(n))[hits:], dtype=torch.long)
    labels[wrong] = (labels[wrong] + draw.whole(1, classes - 1)) % classes
    return logits, labels


def _square(draw: Draw) -> tuple[Tensor, Tensor]:
    """As many examples as classes, where argmax over the wrong axis gives numbers too: here it hits one time less or more."""
    n = draw.whole(5, 9)
    logits, labels = _scored(draw, n, n, n - 2)
    while int((logits.argmax(0) == labels).sum()) in (n - 2, 2):
        logits, labels = _scored(draw, n, n, n - 2)
    return logits, labels


def _close(draw: Draw) -> tuple[Tensor, Tensor]:
    """Around 8, where float16 has steps of 1/128: the label's logit is 0.001 above the others of a lower place."""
    labels = draw.codes(1, 4, 21).long()
    logits = torch.full((21, 5), 8.0)
    logits[torch.arange(21), labels] += 0.001
    return logits + 0.0001 * torch.arange(5), labels


def accuracy_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "accuracy")
    n = 2 * draw.whole(20, 45) + 1
    logits, labels = _scored(draw, n, 7, draw.whole(n // 3, n // 2))
    large, its_labels = _scored(draw, 31, 4, 31)
    return [
        Case("as many examples as classes", _square(draw)),
        Case("an odd number of examples", (logits, labels)),
        Case("logits that are a view of a wider tensor", (strided(logits), labels)),
        Case("logits in the thousands", (large * 1000, its_labels)),
        Case("one example, right", _scored(draw, 1, 5, 1)),
        Case("one example, wrong", _scored(draw, 1, 5, 0)),
        Case("all right", _scored(draw, 12, 3, 12)),
        Case("all wrong", _scored(draw, 12, 3, 0)),
        Case("logits that differ in the fourth digit", _close(draw)),
        Case("a single class", (draw.normal(6, 1), torch.zeros(6, dtype=torch.long))),
    ]


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.argmax(1) == labels


ACCURACY_MISTAKES = (
    Mistake(
        "mean probability",
        "You averaged the probability given to the true class; accuracy only asks whether the largest logit is at the label.",
        lambda logits, labels: logits.softmax(1)[torch.arange(len(labels)), labels].mean().item(),
    ),
    Mistake(
        "argmax over the batch",
        "Your argmax runs over the examples (dim 0); each row is one example, so look for the largest in a row (dim 1).",
        lambda logits, labels: (logits.argmax(0) == labels).float().mean().item(),
    ),
    Mistake(
        "percent",
        "You return percent; the fraction is wanted, between 0 and 1.",
        lambda x, y: 100 * _hits(x, y).float().mean().item(),
    ),
    Mistake("count", "You return how many are right; divide by the number of examples.", lambda x, y: _hits(x, y).sum().item()),
    Mistake(
        "divided by classes",
        "You divided by the number of classes (columns); divide by the number of examples (rows).",
        lambda logits, labels: _hits(logits, labels).sum().item() / logits.shape[1],
    ),
    Mistake(
        "error rate",
        "That is the fraction of wrong answers; count where they agree.",
        lambda x, y: 1 - _hits(x, y).float().mean().item(),
    ),
    Mistake(
        "tensor", "You return a tensor of one number; .item() makes a plain float of it.", lambda x, y: _hits(x, y).float().mean()
    ),
    Mistake(
        "largest of the batch",
        "You compare with the largest logit of the whole batch; each example has a largest of its own.",
        lambda x, y: (x[torch.arange(len(y)), y] >= x.max()).float().mean().item(),
    ),
)


# ---- wilson_interval
def _wilson(hits: int, n: int, z: float, **change: float) -> tuple[float, float]:
    """The interval with its three corrections, each of which a mistake may take away."""
    p = hits / n
    center = p + change.get("shift", 1.0) * z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + change.get("inner", 1.0) * z * z / (4 * n * n))
    scale = 1 + change.get("shrink", 1.0) * z * z / n
    return (center - half) / scale, (center + half) / scale


def _right_wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    return _wilson(hits, n, z)


def _wald(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    p = hits / n
    half = z * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


def _agresti_coull(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    return _wald(hits + z * z / 2, n + z * z, z)  # type: ignore[arg-type]


def wilson_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "wilson")
    n, many = 2 * draw.whole(6, 20) + 1, draw.whole(4000, 10000)
    z = round(draw.real(2.2, 3.3), 2)
    return [
        Case("a few hits", (draw.whole(2, n // 3), n)),
        Case("one miss, where a symmetric interval leaves [0, 1]", (n - 1, n)),
        Case("no hit at all", (0, n)),
        Case("all hits", (n, n)),
        Case("a single example", (draw.whole(0, 1), 1)),
        Case("another z", (draw.whole(3, n - 3), n, z)),
        Case("z given by name", (draw.whole(3, n - 3), n), {"z": 1.0}),
        Case("thousands of examples", (draw.whole(many // 2, many - 100), many)),
    ]


WILSON_MISTAKES = (
    Mistake(
        "normal approximation",
        "That is p plus or minus z sqrt(p(1-p)/n): it leaves [0, 1] and claims certainty at 0 hits; use Wilson's formula.",
        _wald,
    ),
    Mistake(
        "clamped normal approximation",
        "Clamping the normal approximation to [0, 1] hides its fault: at 0 hits it still has no width; use Wilson's formula.",
        lambda hits, n, z=1.96: (max(0.0, _wald(hits, n, z)[0]), min(1.0, _wald(hits, n, z)[1])),
    ),
    Mistake("z ignored", "You always use 1.96; z is an argument.", lambda hits, n, z=1.96: _wilson(hits, n, 1.96)),
    Mistake(
        "center not moved",
        "Wilson's center is p + z^2/(2n), not p: with few examples it moves towards one half.",
        lambda hits, n, z=1.96: _wilson(hits, n, z, shift=0.0),
    ),
    Mistake("not divided", "You forgot to divide by 1 + z^2/n.", lambda hits, n, z=1.96: _wilson(hits, n, z, shrink=0.0)),
    Mistake(
        "inner term missing",
        "Under the root belongs z^2/(4n^2) as well; without it the interval has no width at 0 hits.",
        lambda hits, n, z=1.96: _wilson(hits, n, z, inner=0.0),
    ),
    Mistake(
        "Agresti-Coull",
        "That is the Agresti-Coull interval (a few hits added, then the normal formula): the same center, another width.",
        _agresti_coull,
    ),
    Mistake(
        "center and half",
        "You return the center and half the width; the two ends are wanted: center - half and center + half.",
        lambda hits, n, z=1.96: (sum(_wilson(hits, n, z)) / 2, (_wilson(hits, n, z)[1] - _wilson(hits, n, z)[0]) / 2),
    ),
    Mistake("ends swapped", "The lower end comes first.", lambda hits, n, z=1.96: _wilson(hits, n, z)[::-1]),
)


accuracy = Exercise("accuracy", UNIT, 1, 1, 5, _right_accuracy, accuracy_cases, ACCURACY_MISTAKES, close(1e-6, 1e-6))
wilson_interval = Exercise("wilson_interval", UNIT, 2, 2, 8, _right_wilson, wilson_cases, WILSON_MISTAKES, close(0.0, 1e-6))
model_bytes = Exercise("model_bytes", UNIT, 2, 2, 8, right_bytes, bytes_cases, BYTES_MISTAKES)
# 1e-8 s: a clock in whole nanoseconds rounds both ends of a call
latency = Exercise("latency", UNIT, 2, 3, 10, right_latency, latency_cases, LATENCY_MISTAKES, close(1e-6, 1e-8), LATENCY_LAWS)
