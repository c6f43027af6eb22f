"""Cases and known mistakes of `nll`: how small is the probability that the model gives to the true class?

Conventions that the notebook states in the same words:
- the mean over examples of minus the natural logarithm of the label's probability, from logits, stable at any size;
- the result is a plain float; labels are int64.

Where logits are in the thousands, the label's logit is either hundreds below the largest (then float32 has 6 digits of the loss) or hundreds
above all others (then the loss is exactly 0). The rows differ by thousands too: each row's own maximum must be subtracted against overflow.
A logit may be -infinity, but not that of the label.
"""

import math

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided


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


def drawn_labels(draw: Draw, n: int, classes: int) -> Tensor:
    return torch.randint(0, classes, (n,), generator=draw.generator)


def labelled_logits(draw: Draw, n: int, classes: int, size: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits and labels that agree more often than by chance."""
    logits = draw.normal(n, classes, std=size)
    labels = torch.where(draw.uniform(0, 1, n) < 0.6, logits.argmax(1), drawn_labels(draw, n, classes))
    return logits, labels


def _far_apart(draw: Draw, n: int, classes: int, right: bool, times: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits in the thousands, hundreds apart, and each row with another mean; labels at the largest, or at the smallest."""
    steps = torch.stack([torch.randperm(classes, generator=draw.generator) for _ in range(n)])
    levels = 2000.0 * (torch.randperm(n, generator=draw.generator)[:, None] % 3 - 1)
    logits = times * (500.0 * (steps - classes // 2) + levels) + draw.normal(n, classes)
    return logits, logits.argmax(1) if right else logits.argmin(1)


def _two_largest(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    """The two largest logits of each row are equal, and those of the labels 900 below them: the losses are 900 + log 2."""
    logits = torch.tensor([[900.0, 900.0, -400.0, 0.0]]).repeat(n, 1)
    order = torch.stack([torch.randperm(4, generator=draw.generator) for _ in range(n)])
    logits = logits.gather(1, order) + 250.0 * draw.codes(-9, 9, n, 1).float()
    return logits, (order == 3).long().argmax(1)


def _ruled_out(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    """Some classes have the logit -infinity."""
    logits, labels = labelled_logits(draw, n, 6)
    out = draw.uniform(0, 1, n, 6) < 0.3
    out[torch.arange(n), labels] = False
    return logits.masked_fill(out, -math.inf), labels


def nll_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "nll at work")
    logits, labels = labelled_logits(draw, 700, 12, 3.0)
    twice = torch.cat([torch.arange(700), torch.randint(0, 200, (400,), generator=draw.generator)])
    return [
        Case("1,100 examples of 12 classes, some several times", (logits[twice], labels[twice])),
        Case("logits in the hundred thousands, labels wrong", _far_apart(draw, 7, 5, False, 100.0)),
        Case("logits in the thousands, two of them the largest", _two_largest(draw, 8)),
        Case("classes with the logit -infinity", _ruled_out(draw, 40)),
    ]


def nll_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "nll")
    n = 2 * draw.whole(10, 25) + 1
    logits, labels = labelled_logits(draw, n, 5)
    square = draw.whole(4, 7)
    return [
        Case("a few examples", labelled_logits(draw, 6, 3)),
        Case("as many examples as classes", labelled_logits(draw, square, square)),
        Case("a view that is not contiguous", (strided(logits), labels)),
        Case("float64", (logits.double(), labels)),
        Case("logits in the thousands, labels wrong", _far_apart(draw, 7, 5, False)),
        Case("logits in the thousands, labels right", _far_apart(draw, 7, 5, True)),
        Case("logits shifted by 80", (logits + 80.0, labels)),
        Case("one example", labelled_logits(draw, 1, 4)),
        Case("a single class", (draw.normal(n, 1), torch.zeros(n, dtype=torch.long))),
        Case("all logits equal", (torch.full((n, square), draw.real(-3.0, 3.0)), drawn_labels(draw, n, square))),
    ]


def _mean(values: Tensor) -> float:
    return values.double().mean().item()


def picked(table: Tensor, labels: Tensor) -> Tensor:
    return table.gather(1, labels[:, None])[:, 0]


def _naive(logits: Tensor, labels: Tensor) -> float:
    powers = logits.float().exp()
    return -_mean(picked(powers / powers.sum(1, keepdim=True), labels).log())


def _one_maximum(logits: Tensor, labels: Tensor) -> float:
    """Subtracts the largest logit of the whole tensor."""
    z = logits.double() - logits.max()
    return -_mean(picked(z, labels) - z.exp().sum(1).log())


def _probability(logits: Tensor, labels: Tensor) -> Tensor:
    return picked(logits.double().softmax(1), labels)


NLL_MISTAKES = (
    Mistake(
        "softmax of softmax",
        "You took the softmax twice; pass logits to cross_entropy and log_softmax, not probabilities.",
        lambda logits, labels: right_nll(logits.double().softmax(1), labels),
    ),
    Mistake(
        "sum",
        "You return the sum over the examples; divide by their number, or the loss grows with the number of examples.",
        lambda logits, labels: math.fsum(_losses(logits, labels)),
    ),
    Mistake(
        "sign",
        "Your sign is wrong; the logarithm of a probability is negative, so return minus its mean.",
        lambda logits, labels: -right_nll(logits, labels),
    ),
    Mistake(
        "base 2",
        "You took the logarithm to base 2 (bits); take the natural logarithm.",
        lambda logits, labels: right_nll(logits, labels) / math.log(2),
    ),
    Mistake(
        "base 10",
        "You took the logarithm to base 10; take the natural logarithm.",
        lambda logits, labels: right_nll(logits, labels) / math.log(10),
    ),
    Mistake(
        "logarithm of softmax",
        "softmax rounds small probabilities to 0, and log(0) is -infinity; use log_softmax (or logsumexp), which stays finite.",
        lambda logits, labels: -_mean(picked(logits.softmax(1), labels).log()),
    ),
    Mistake(
        "exp overflows",
        "exp(logit) overflows from 89 on and you get NaN; subtract the largest logit first, or use log_softmax.",
        _naive,
    ),
    Mistake(
        "one maximum for all",
        "You subtract the largest logit of the whole tensor, so other rows underflow to log(0); subtract that of each row (dim=1).",
        _one_maximum,
    ),
    Mistake(
        "logits as logarithms",
        "You use logits as log-probabilities (nll_loss expects those); apply log_softmax first.",
        lambda logits, labels: -_mean(picked(logits, labels)),
    ),
    Mistake(
        "every label for every example",
        "[:, labels] pairs every example with every label; take one entry of each row: [torch.arange(n), labels] or gather.",
        lambda logits, labels: -_mean(logits.double().log_softmax(1)[:, labels]),
    ),
    Mistake(
        "clamped",
        "You clamp the probability before the logarithm, so confident mistakes cost too little; use log_softmax, which needs no clamp.",
        lambda logits, labels: -_mean(picked(logits.softmax(1), labels).clamp(min=1e-12).log()),
    ),
    Mistake(
        "a small number added",
        "You add a small number before the logarithm, which changes every loss; use log_softmax, which needs none.",
        lambda logits, labels: -_mean((picked(logits.softmax(1), labels) + 1e-3).log()),
    ),
    Mistake(
        "all classes",
        "You average the logarithms of all classes; use only the label's probability.",
        lambda logits, labels: -_mean(logits.double().log_softmax(1)),
    ),
    Mistake(
        "no logarithm",
        "You average 1 - probability of the label; average minus its logarithm.",
        lambda logits, labels: 1 - _mean(_probability(logits, labels)),
    ),
    Mistake(
        "logarithm of the mean",
        "You average the probabilities first; take the logarithm of each, then the mean.",
        lambda logits, labels: -_probability(logits, labels).mean().log().item(),
    ),
    Mistake(
        "predicted class",
        "You take the probability of the largest logit; take that of the label, or a wrong answer costs nothing.",
        lambda logits, labels: right_nll(logits, logits.argmax(1)),
    ),
    Mistake(
        "softmax over the batch",
        "Your softmax runs over the examples (dim 0); each row is one example, so use dim 1.",
        lambda logits, labels: -_mean(picked(logits.double().log_softmax(0), labels)),
    ),
    Mistake(
        "zero times infinity",
        "You multiply by one-hot labels, but 0 times infinity is NaN; take the label's entry alone, by index or gather.",
        lambda logits, labels: -_mean((torch.eye(logits.shape[1])[labels] * logits.double().log_softmax(1)).sum(1)),
    ),
    Mistake(
        "tensor",
        "You return a tensor; .item() makes a plain float of it.",
        lambda logits, labels: torch.tensor(right_nll(logits, labels)),
    ),
)


nll = Exercise(
    name="nll",
    unit="04_calibration",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_nll,
    cases=nll_cases,
    workload=nll_workload,
    mistakes=NLL_MISTAKES,
    library="calibration:nll",
)
