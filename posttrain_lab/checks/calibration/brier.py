"""Cases and known mistakes of `brier`: how large is the squared distance between the probabilities and the true class?

Conventions that the notebook states in the same words:
- the mean over examples of the sum over all classes of (probability - 1 for the label, 0 for the others)^2, from 0 to 2;
- the result is a plain float; labels are int64;
- the probabilities are used as they are, also when rounding lets a row add up to 0.99.

Probabilities minus labels are exact in float32 near 0 and near 1, so its relative error is small for good forecasts too: the judge allows
1e-5 of the result. (1 - 2p + sum of p^2, the same squares expanded, has hardly a correct digit there in float32.)
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from posttrain_lab.checks.calibration.nll import drawn_labels, labelled_logits, picked
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided


def right_brier(probabilities: Tensor, labels: Tensor) -> float:
    total = 0.0
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        total += math.fsum((p - (k == label)) ** 2 for k, p in enumerate(row))
    return total / len(labels)


def _forecast(draw: Draw, n: int, classes: int, size: float = 2.0) -> tuple[Tensor, Tensor]:
    logits, labels = labelled_logits(draw, n, classes, size)
    return logits.softmax(1), labels


def brier_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "brier")
    n, square = 2 * draw.whole(10, 25) + 1, draw.whole(4, 7)
    probabilities, labels = _forecast(draw, n, 5)
    sure = torch.eye(4)[drawn_labels(draw, n, 4)]
    return [
        Case("a few examples", _forecast(draw, 6, 3)),
        Case("as many examples as classes", _forecast(draw, square, square)),
        Case("two classes", _forecast(draw, n, 2)),
        Case("a view that is not contiguous", (strided(probabilities), labels)),
        Case("float64", (probabilities.double(), labels)),
        Case("certain and right", (sure, sure.argmax(1))),
        Case("certain and wrong", (sure, (sure.argmax(1) + draw.whole(1, 3)) % 4)),
        Case(
            "the same probability for every class, and no example of the last class",
            (torch.full((n, square), 1 / square), drawn_labels(draw, n, square - 1)),
        ),
        Case("one example", _forecast(draw, 1, 4)),
        Case("a single class", (torch.ones(n, 1), torch.zeros(n, dtype=torch.long))),
    ]


def brier_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "brier at work")
    probabilities, labels = _forecast(draw, 40, 5)
    return [
        Case("1,100 examples of 12 classes", _forecast(draw, 1100, 12, 1.0)),
        Case(
            "rounded probabilities, whose rows add up to a little more or less than 1",
            (probabilities.mul(50).round() / 50, labels),
        ),
        Case("nearly certain, and always right", _nearly_certain(draw, 30)),
        Case("the same, all others below one millionth", _millionths(draw, 9, 12)),
    ]


def _nearly_certain(draw: Draw, n: int) -> tuple[Tensor, Tensor]:
    logits = draw.normal(n, 4)
    labels = drawn_labels(draw, n, 4)
    logits[torch.arange(n), labels] += 10.0
    return logits.softmax(1), labels


def _millionths(draw: Draw, n: int, classes: int) -> tuple[Tensor, Tensor]:
    """Each probability but the label's is below 1e-6; together they are a tenth of the score, which is some 1e-10."""
    probabilities, labels = draw.uniform(5e-7, 9.5e-7, n, classes), drawn_labels(draw, n, classes)
    rows = torch.arange(n)
    probabilities[rows, labels] = 0.0
    probabilities[rows, labels] = 1 - probabilities.sum(1)
    return probabilities, labels


def _gaps(probabilities: Tensor, labels: Tensor) -> Tensor:
    """[n, c] float64: probability minus one-hot label."""
    return probabilities.double() - torch.eye(probabilities.shape[1], dtype=torch.float64)[labels]


def _squares(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], float]:
    """The mean over examples of another function of the gaps [n, c]."""
    return lambda probabilities, labels: change(_gaps(probabilities, labels)).mean().item()


def _classes_seen(probabilities: Tensor, labels: Tensor) -> float:
    """one_hot without the number of classes, which it takes from the largest label."""
    return (probabilities.double() - one_hot(labels)).square().sum(1).mean().item()


def _expanded(probabilities: Tensor, labels: Tensor) -> float:
    own = picked(probabilities.float(), labels)
    return (1 - 2 * own + probabilities.float().square().sum(1)).mean().item()


def _of_the_predicted(probabilities: Tensor, labels: Tensor) -> float:
    confidence, predicted = probabilities.double().max(1)
    return (confidence - (predicted == labels).double()).square().mean().item()


BRIER_MISTAKES = (
    Mistake(
        "true class only",
        "You use the label's probability alone; use the probabilities of the other classes too.",
        lambda probabilities, labels: (1 - picked(probabilities.double(), labels)).square().mean().item(),
    ),
    Mistake(
        "mean over classes",
        "You average over the classes (.mean() of the whole tensor); sum over the classes, and average over the examples only.",
        _squares(lambda gaps: gaps.square()),
    ),
    Mistake(
        "axes exchanged",
        "You sum over the examples and average over the classes; it is the other way round: .sum(dim=1), then .mean().",
        lambda probabilities, labels: _gaps(probabilities, labels).square().sum(0).mean().item(),
    ),
    Mistake(
        "classes counted by the labels",
        "one_hot takes the number of classes from the largest label, so it may miss some; pass it, probabilities.shape[1].",
        _classes_seen,
    ),
    Mistake(
        "sum over examples",
        "You sum over the examples; divide by their number.",
        lambda probabilities, labels: _gaps(probabilities, labels).square().sum().item(),
    ),
    Mistake(
        "softmax again",
        "You took the softmax of probabilities; use them as they are.",
        lambda probabilities, labels: right_brier(probabilities.double().softmax(1), labels),
    ),
    Mistake("not squared", "You add absolute differences; add their squares.", _squares(lambda gaps: gaps.abs().sum(1))),
    Mistake(
        "root",
        "You take a square root at the end; return the mean of the sums of squares itself.",
        lambda probabilities, labels: math.sqrt(right_brier(probabilities, labels)),
    ),
    Mistake(
        "distance",
        "You average distances, the square root of each example's sum; average the sums of squares.",
        _squares(lambda gaps: gaps.square().sum(1).sqrt()),
    ),
    Mistake(
        "predicted class only",
        "You compare the largest probability with right or wrong; sum over all classes.",
        _of_the_predicted,
    ),
    Mistake(
        "compared with the prediction",
        "You compare with the predicted class, so a wrong but confident answer has score 0; compare with the label.",
        lambda probabilities, labels: right_brier(probabilities, probabilities.argmax(1)),
    ),
    Mistake(
        "halved",
        "You divide by 2, which makes the range 0 to 1; here it is 0 to 2, so do not divide.",
        lambda probabilities, labels: right_brier(probabilities, labels) / 2,
    ),
    Mistake(
        "other classes only",
        "You leave the label's own class out; add its squared difference, (probability - 1)^2, too.",
        lambda probabilities, labels: (
            right_brier(probabilities, labels) - (1 - picked(probabilities.double(), labels)).square().mean().item()
        ),
    ),
    Mistake(
        "expanded in float32",
        "You expand the square to 1 - 2p + ..., which has no correct digits in float32 when p is near 1; square the differences.",
        _expanded,
    ),
    Mistake(
        "tensor",
        "You return a tensor; .item() makes a plain float of it.",
        lambda probabilities, labels: torch.tensor(right_brier(probabilities, labels)),
    ),
)


brier = Exercise(
    name="brier",
    unit="04_calibration",
    points=2,
    difficulty=2,
    minutes=7,
    oracle=right_brier,
    cases=brier_cases,
    workload=brier_workload,
    mistakes=BRIER_MISTAKES,
    judge=close(1e-5, 1e-12),
    library="calibration:brier",
)
