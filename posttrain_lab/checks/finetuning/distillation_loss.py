"""Cases and known mistakes of `distillation_loss`: learn from the labels and from a larger network's probabilities.

Conventions that the notebook states in the same words: with p = softmax(teacher / T) and q = softmax(student / T) the loss is
weight * T^2 * mean over the images of KL(p || q) + (1 - weight) * mean cross-entropy of student (at temperature 1) and labels; natural
logarithms; a scalar tensor; a gradient reaches the student's logits and none the teacher's; a probability may be 0.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

Loss = Callable[[Tensor, Tensor, Tensor, float, float], Any]


def _log(logits: Tensor, temperature: float) -> Tensor:
    return logits / temperature - torch.logsumexp(logits / temperature, dim=1, keepdim=True)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of each row; both are given as log-probabilities."""
    return (p.exp() * (p - q)).sum(1)


def _mixed(divergence: Tensor | float, student: Tensor, labels: Tensor, weight: float) -> Any:
    picked = student.gather(1, labels[:, None]).squeeze(1) - torch.logsumexp(student, dim=1)
    return weight * divergence - (1 - weight) * picked.mean()


def right_loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Tensor:
    p, q = _log(teacher.detach(), temperature), _log(student, temperature)
    return _mixed(temperature**2 * _divergence(p, q).mean(), student, labels, weight)


def distillation_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "distillation_loss")

    def case(words: str, n: int, c: int, temperature: float, weight: float, spread: float = 2.0) -> Case:
        student, teacher = draw.normal(n, c, std=spread), draw.normal(n, c, std=spread)
        labels = draw.codes(0, c - 1, n).long()
        return Case(words, (student, teacher, labels, temperature, weight), gradients=(0, 1))

    n, c = draw.whole(5, 9), draw.whole(3, 6)
    usual = case("both parts, a usual weight", n, c, draw.real(2.2, 4.0), draw.real(0.6, 0.8))
    student, teacher, labels, *rest = case("", 6, 4, 3.0, 0.4).args
    return [
        usual,
        case("temperature 1", n + 1, c, 1.0, draw.real(0.3, 0.5)),
        case("the teacher alone: weight 1", n, c + 1, draw.real(1.5, 3.0), 1.0),
        case("the labels alone: weight 0", n, c, draw.real(2.0, 3.0), 0.0),
        case("a temperature below 1", n, c, 0.5, 0.5),
        case("a single image", 1, c, 2.5, 0.7),
        Case("a student that equals its teacher", (teacher, teacher, labels, *rest), gradients=(0, 1)),
        Case("a teacher so confident that probabilities are 0", (student, 300 * teacher, labels, 2.0, 0.9), gradients=(0, 1)),
        Case("logits that are not contiguous", (strided(student), teacher, labels, *rest), gradients=(0, 1)),
    ]


def _with(divergence: Callable[[Tensor, Tensor, float], Any], weight: Callable[[float], float] = lambda w: w) -> Loss:
    """The right weighted sum with another divergence of (student, teacher without gradient, T)."""

    def loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, w: float) -> Any:
        return _mixed(divergence(student, teacher.detach(), temperature), student, labels, weight(w))

    return loss


def _rows(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return _divergence(_log(teacher, temperature), _log(student, temperature))


def _with_gradient(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Tensor:
    return _mixed(temperature**2 * _rows(student, teacher, temperature).mean(), student, labels, weight)


def _all_scaled(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    return temperature**2 * _mixed(_rows(student, teacher.detach(), temperature).mean(), student, labels, weight)


def _soft_labels(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    """The labels are compared at temperature T too."""
    divergence = temperature**2 * _rows(student, teacher.detach(), temperature).mean()
    return _mixed(divergence, student / temperature, labels, weight)


def _log_of_softmax(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    return temperature**2 * (p * (p.log() - q.log())).sum(1).mean()


def _summed(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    return _mixed(temperature**2 * _rows(student, teacher.detach(), temperature).sum(), student, labels, weight)


def _hard(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return temperature**2 * F.cross_entropy(student / temperature, teacher.argmax(1))


DISTILLATION_MISTAKES = (
    Mistake(
        "KL reversed",
        "That is KL(student || teacher); weight the logarithms with the teacher's probabilities: KL(teacher || student).",
        _with(lambda s, t, T: T**2 * _divergence(_log(s, T), _log(t, T)).mean()),
    ),
    Mistake(
        "no T^2",
        "The factor T^2 is missing; without it the teacher's part of the gradient shrinks with the temperature.",
        _with(lambda s, t, T: _rows(s, t, T).mean()),
    ),
    Mistake("T once", "You multiply by T; the factor is T^2.", _with(lambda s, t, T: T * _rows(s, t, T).mean())),
    Mistake("T^2 on both", "T^2 belongs to the teacher's part only, not to the labels' part.", _all_scaled),
    Mistake(
        "labels at temperature T",
        "You use the softened student for the labels; their cross-entropy has temperature 1.",
        _soft_labels,
    ),
    Mistake(
        "summed",
        "You sum over the images; take their mean (batchmean), or the loss grows with the batch.",
        _summed,
    ),
    Mistake(
        "mean over classes too",
        'You also divide by the number of classes, as reduction="mean" does; sum over classes, mean over images (batchmean).',
        _with(lambda s, t, T: T**2 * _rows(s, t, T).mean() / s.shape[1]),
    ),
    Mistake(
        "gradient to the teacher",
        "A gradient reaches the teacher's logits; the teacher is not trained, so detach its logits.",
        _with_gradient,
    ),
    Mistake(
        "logarithms for the teacher",
        "F.kl_div takes the teacher's probabilities unless log_target=True; you passed their logarithms.",
        _with(lambda s, t, T: T**2 * F.kl_div(_log(s, T), _log(t, T), reduction="batchmean")),
    ),
    Mistake(
        "probabilities for the student",
        "F.kl_div takes the student's log-probabilities first; you passed probabilities.",
        _with(lambda s, t, T: T**2 * F.kl_div((s / T).softmax(1), (t / T).softmax(1), reduction="batchmean")),
    ),
    Mistake(
        "softmax twice",
        "You apply softmax to probabilities; apply it to logits, and only once.",
        _with(lambda s, t, T: T**2 * _divergence(_log((t / T).softmax(1), 1), _log((s / T).softmax(1), 1)).mean()),
    ),
    Mistake(
        "logarithm of softmax",
        "A probability can be 0 in float32, and then its logarithm is -infinity; use log_softmax.",
        _with(_log_of_softmax),
    ),
    Mistake(
        "temperature on the student only",
        "You soften the student only; divide the teacher's logits by T too.",
        _with(lambda s, t, T: T**2 * _divergence(_log(t, 1), _log(s, T)).mean()),
    ),
    Mistake(
        "temperature on the teacher only",
        "You soften the teacher only; divide the student's logits by T too.",
        _with(lambda s, t, T: T**2 * _divergence(_log(t, T), _log(s, 1)).mean()),
    ),
    Mistake(
        "multiplied by T",
        "You multiply the logits by T; divide them by it.",
        _with(lambda s, t, T: T**2 * _rows(s, t, 1 / T).mean()),
    ),
    Mistake(
        "no temperature",
        "Your function does not use the temperature; divide both logits by T before softmax.",
        _with(lambda s, t, T: T**2 * _rows(s, t, 1).mean()),
    ),
    Mistake(
        "cross-entropy, not KL",
        "That is the cross-entropy with the teacher; subtract the teacher's own entropy to get KL, which is 0 when both agree.",
        _with(lambda s, t, T: -(T**2) * (_log(t, T).exp() * _log(s, T)).sum(1).mean()),
    ),
    Mistake(
        "the teacher's top class only",
        "You use the teacher's most probable class only; use all of its probabilities.",
        _with(_hard),
    ),
    Mistake(
        "weights swapped",
        "`weight` belongs to the teacher's part and 1 - weight to the labels'; you swapped them.",
        _with(lambda s, t, T: T**2 * _rows(s, t, T).mean(), lambda w: 1 - w),
    ),
    Mistake(
        "labels ignored",
        "Your function does not use the labels; add (1 - weight) times the cross-entropy with them.",
        lambda s, t, y, T, w: w * T**2 * _rows(s, t.detach(), T).mean(),
    ),
    Mistake(
        "teacher ignored",
        "Your function does not use the teacher; add weight * T^2 times the mean KL(teacher || student).",
        _with(lambda s, t, T: 0.0),
    ),
)


distillation_loss = Exercise(
    name="distillation_loss",
    unit="03_fine_tuning",
    points=3,
    difficulty=3,
    minutes=16,
    oracle=right_loss,
    cases=distillation_cases,
    mistakes=DISTILLATION_MISTAKES,
    judge=close(0.0001, 1e-05),
    library="finetuning:distillation_loss",
)
