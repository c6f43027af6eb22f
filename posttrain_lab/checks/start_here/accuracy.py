"""Cases and known mistakes of `accuracy`: how often is the largest logit at the label?

A plain float between 0 and 1; there are no ties between logits in the cases.
"""

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided


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
    """As many examples as classes, where argmax over the wrong axis gives a result too: here one with another number of hits."""
    n = draw.whole(5, 9)
    logits, labels = _scored(draw, n, n, n - 2)
    while int((logits.argmax(0) == labels).sum()) in (n - 2, 2):
        logits, labels = _scored(draw, n, n, n - 2)
    return logits, labels


def _close(draw: Draw) -> tuple[Tensor, Tensor]:
    """Around 8, where float16 has steps of 1/128: the label's logit is above the others by less, so in float16 all are equal."""
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


def accuracy_workload(seed: int) -> list[Case]:
    """Thousands of images; neighbouring logits differ in the fifth digit, which 16 bits do not separate."""
    draw = Draw(seed, "accuracy at work")
    logits = ladder(draw, 2500, 12, top=8.0)
    labels = torch.where(
        draw.uniform(0, 1, 2500) < 0.8, logits.argmax(1), torch.randint(0, 12, (2500,), generator=draw.generator)
    )
    tight = 1 + ladder(draw, 60, 200, top=2.0**-9)
    return [
        Case("2,500 examples of 12 classes", (logits, labels)),
        Case("200 classes, all logits close to 1", (tight, tight.argmax(1))),
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
        "You return percent; return a fraction between 0 and 1.",
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
        "That is the fraction of wrong answers; count where prediction and label agree.",
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


accuracy = Exercise(
    name="accuracy",
    unit="00_start_here",
    points=1,
    difficulty=1,
    minutes=5,
    oracle=_right_accuracy,
    cases=accuracy_cases,
    workload=accuracy_workload,
    mistakes=ACCURACY_MISTAKES,
    judge=close(1e-06, 1e-06),
    library="metrics:accuracy",
)
