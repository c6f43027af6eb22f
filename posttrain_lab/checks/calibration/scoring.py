"""Cases and known mistakes of `nll` and `brier`: one number that is smallest when the probabilities are the true ones.

Conventions that the notebook states in the same words:
- nll: the mean over examples of minus the natural logarithm of the label's probability, from logits, stable at any size;
- brier: the mean over examples of the sum over all classes of (probability - 1 for the label, 0 for the others)^2, from 0 to 2;
- both are plain floats; labels are int64.

Where logits are in the thousands, either the labels are wrong by hundreds (then float32 keeps 6 digits of the loss) or right by hundreds
(then the loss is exactly 0).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Case, Mistake


def _losses(logits: Tensor, labels: Tensor) -> list[float]:
    """Minus log probability of each label, by plain Python: log(sum(exp(other - largest))) + largest - own."""
    found = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        found.append(math.log(math.fsum(math.exp(value - top) for value in row)) + top - row[label])
    return found


def right_nll(logits: Tensor, labels: Tensor) -> float:
    found = _losses(logits, labels)
    return math.fsum(found) / len(found)


def _labels(draw: Draw, n: int, classes: int) -> Tensor:
    return torch.randint(0, classes, (n,), generator=draw.generator)


def _sampled(draw: Draw, n: int, classes: int, size: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits and labels that agree more often than chance."""
    logits = draw.normal(n, classes, std=size)
    labels = torch.where(draw.uniform(0, 1, n) < 0.6, logits.argmax(1), _labels(draw, n, classes))
    return logits, labels


def _far_apart(draw: Draw, n: int, classes: int, right: bool) -> tuple[Tensor, Tensor]:
    """Logits in the thousands, hundreds apart; labels at the largest, or at another."""
    steps = torch.stack([torch.randperm(classes, generator=draw.generator) for _ in range(n)])
    logits = 500.0 * (steps - classes // 2) + draw.normal(n, classes)
    return logits, logits.argmax(1) if right else logits.argmin(1)


def nll_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "nll")
    n = 2 * draw.whole(10, 25) + 1
    logits, labels = _sampled(draw, n, 5)
    square = draw.whole(4, 7)
    return [
        Case("a handful of examples", _sampled(draw, 6, 3)),
        Case("as many examples as classes", _sampled(draw, square, square)),
        Case("a view that is not contiguous", (strided(logits), labels)),
        Case("float64", (logits.double(), labels)),
        Case("logits in the thousands, labels wrong", _far_apart(draw, 7, 5, False)),
        Case("logits in the thousands, labels right", _far_apart(draw, 7, 5, True)),
        Case("logits shifted by 80", (logits + 80.0, labels)),
        Case("one example", _sampled(draw, 1, 4)),
        Case("a single class", (draw.normal(n, 1), torch.zeros(n, dtype=torch.long))),
        Case("all logits equal", (torch.full((n, square), draw.real(-3.0, 3.0)), _labels(draw, n, square))),
    ]


def _mean(values: Tensor) -> float:
    return values.double().mean().item()


def _picked(table: Tensor, labels: Tensor) -> Tensor:
    return table.gather(1, labels[:, None])[:, 0]


def _naive(logits: Tensor, labels: Tensor) -> float:
    powers = logits.float().exp()
    return -_mean(_picked(powers / powers.sum(1, keepdim=True), labels).log())


def _probability(logits: Tensor, labels: Tensor) -> Tensor:
    return _picked(logits.double().softmax(1), labels)


NLL_MISTAKES = (
    Mistake(
        "softmax of softmax",
        "You took the softmax twice: cross_entropy and log_softmax want logits, not probabilities.",
        lambda logits, labels: right_nll(logits.double().softmax(1), labels),
    ),
    Mistake(
        "sum",
        "You return the sum over the examples; divide by their number, or the loss grows with the data.",
        lambda logits, labels: math.fsum(_losses(logits, labels)),
    ),
    Mistake(
        "sign",
        "Your sign is wrong: the logarithm of a probability is negative, and minus that is the loss.",
        lambda logits, labels: -right_nll(logits, labels),
    ),
    Mistake(
        "base 2",
        "You took the logarithm to base 2 (bits); the natural logarithm is wanted.",
        lambda logits, labels: right_nll(logits, labels) / math.log(2),
    ),
    Mistake(
        "base 10",
        "You took the logarithm to base 10; the natural logarithm is wanted.",
        lambda logits, labels: right_nll(logits, labels) / math.log(10),
    ),
    Mistake(
        "logarithm of softmax",
        "softmax rounds small probabilities to 0, and log(0) is infinite; log_softmax (or logsumexp) stays finite.",
        lambda logits, labels: -_mean(_picked(logits.softmax(1), labels).log()),
    ),
    Mistake(
        "exp overflows",
        "exp(logit) overflows from 89 on and you get NaN; subtract the largest logit first, or use log_softmax.",
        _naive,
    ),
    Mistake(
        "clamped",
        "You clamp the probability before the logarithm, which hides how wrong a confident answer is; log_softmax needs no clamp.",
        lambda logits, labels: -_mean(_picked(logits.softmax(1), labels).clamp(min=1e-12).log()),
    ),
    Mistake(
        "a small number added",
        "You add a small number before the logarithm, which changes every loss; log_softmax needs none.",
        lambda logits, labels: -_mean((_picked(logits.softmax(1), labels) + 1e-3).log()),
    ),
    Mistake(
        "all classes",
        "You average the logarithms of all classes; only the label's probability counts.",
        lambda logits, labels: -_mean(logits.double().log_softmax(1)),
    ),
    Mistake(
        "no logarithm",
        "You average the probability that is missing at the label; the logarithm is missing.",
        lambda logits, labels: 1 - _mean(_probability(logits, labels)),
    ),
    Mistake(
        "logarithm of the mean",
        "You average the probabilities first; take the logarithm of each, then the mean.",
        lambda logits, labels: -math.log(max(_mean(_probability(logits, labels)), 1e-300)),
    ),
    Mistake(
        "predicted class",
        "You take the probability of the largest logit; take the label's, or a wrong answer costs nothing.",
        lambda logits, labels: right_nll(logits, logits.argmax(1)),
    ),
    Mistake(
        "softmax over the batch",
        "Your softmax runs over the examples (dim 0); each row is one example, so use dim 1.",
        lambda logits, labels: -_mean(_picked(logits.double().log_softmax(0), labels)),
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda logits, labels: torch.tensor(right_nll(logits, labels)),
    ),
)


# ---- brier
def right_brier(probabilities: Tensor, labels: Tensor) -> float:
    total = 0.0
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        total += math.fsum((p - (k == label)) ** 2 for k, p in enumerate(row))
    return total / len(labels)


def _forecast(draw: Draw, n: int, classes: int, size: float = 2.0) -> tuple[Tensor, Tensor]:
    logits, labels = _sampled(draw, n, classes, size)
    return logits.softmax(1), labels


def brier_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "brier")
    n, square = 2 * draw.whole(10, 25) + 1, draw.whole(4, 7)
    probabilities, labels = _forecast(draw, n, 5)
    sure = torch.eye(4)[_labels(draw, n, 4)]
    return [
        Case("a handful of examples", _forecast(draw, 6, 3)),
        Case("as many examples as classes", _forecast(draw, square, square)),
        Case("two classes", _forecast(draw, n, 2)),
        Case("a view that is not contiguous", (strided(probabilities), labels)),
        Case("float64", (probabilities.double(), labels)),
        Case("certain and right", (sure, sure.argmax(1))),
        Case("certain and wrong", (sure, (sure.argmax(1) + draw.whole(1, 3)) % 4)),
        Case("the same probability for every class", (torch.full((n, square), 1 / square), _labels(draw, n, square))),
        Case("one example", _forecast(draw, 1, 4)),
        Case("a single class", (torch.ones(n, 1), torch.zeros(n, dtype=torch.long))),
    ]


def _gaps(probabilities: Tensor, labels: Tensor) -> Tensor:
    """[n, c] float64: probability minus one-hot label."""
    return probabilities.double() - torch.eye(probabilities.shape[1], dtype=torch.float64)[labels]


def _squares(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], float]:
    """The mean over examples of something else done to the gaps [n, c]."""
    return lambda probabilities, labels: change(_gaps(probabilities, labels)).mean().item()


def _of_the_predicted(probabilities: Tensor, labels: Tensor) -> float:
    confidence, predicted = probabilities.double().max(1)
    return (confidence - (predicted == labels).double()).square().mean().item()


BRIER_MISTAKES = (
    Mistake(
        "true class only",
        "You look at the label's probability alone; the probabilities given to the other classes count too.",
        lambda probabilities, labels: (1 - _picked(probabilities.double(), labels)).square().mean().item(),
    ),
    Mistake(
        "mean over classes",
        "You average over the classes (.mean() of the whole table); add them up, and average over the examples only.",
        _squares(lambda gaps: gaps.square()),
    ),
    Mistake(
        "sum over examples",
        "You add up the examples; divide by their number.",
        lambda probabilities, labels: _gaps(probabilities, labels).square().sum().item(),
    ),
    Mistake(
        "softmax again",
        "You took the softmax of probabilities; they come in as probabilities already.",
        lambda probabilities, labels: right_brier(probabilities.double().softmax(1), labels),
    ),
    Mistake(
        "not squared", "You add absolute differences; the Brier score squares them.", _squares(lambda gaps: gaps.abs().sum(1))
    ),
    Mistake(
        "root",
        "You take a square root at the end; the Brier score is the mean of the squares itself.",
        lambda probabilities, labels: math.sqrt(right_brier(probabilities, labels)),
    ),
    Mistake(
        "distance",
        "You average distances, the root of each example's sum; average the sums of squares.",
        _squares(lambda gaps: gaps.square().sum(1).sqrt()),
    ),
    Mistake(
        "predicted class only",
        "You compare the largest probability with right or wrong; the score goes over all classes.",
        _of_the_predicted,
    ),
    Mistake(
        "compared with the prediction",
        "You compare with the predicted class, so a wrong but sure answer looks perfect; compare with the label.",
        lambda probabilities, labels: right_brier(probabilities, probabilities.argmax(1)),
    ),
    Mistake(
        "halved",
        "You divide by 2, which makes the range 0 to 1; here the score goes from 0 to 2.",
        lambda probabilities, labels: right_brier(probabilities, labels) / 2,
    ),
    Mistake(
        "other classes only",
        "You leave the label's own class out; its gap, probability minus 1, counts too.",
        lambda probabilities, labels: (
            right_brier(probabilities, labels) - (1 - _picked(probabilities.double(), labels)).square().mean().item()
        ),
    ),
    Mistake(
        "tensor",
        "You return a tensor of one number; .item() makes a plain float of it.",
        lambda probabilities, labels: torch.tensor(right_brier(probabilities, labels)),
    ),
)
