"""The known mistakes of `distillation_loss`, each with its message."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.finetuning.distillation_loss_oracle import divergence_of, log_softmax, mixed

Loss = Callable[[Tensor, Tensor, Tensor, float, float], Any]


def _with(divergence: Callable[[Tensor, Tensor, float], Any], weight: Callable[[float], float] = lambda w: w) -> Loss:
    """The right weighted sum with another divergence of (student, teacher without gradient, T)."""

    def loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, w: float) -> Any:
        return mixed(divergence(student, teacher.detach(), temperature), student, labels, weight(w))

    return loss


def _rows(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return divergence_of(log_softmax(teacher, temperature), log_softmax(student, temperature))


def _with_gradient(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Tensor:
    return mixed(temperature**2 * _rows(student, teacher, temperature).mean(), student, labels, weight)


def _all_scaled(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    return temperature**2 * mixed(_rows(student, teacher.detach(), temperature).mean(), student, labels, weight)


def _soft_labels(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    """The labels are compared at temperature T too."""
    divergence = temperature**2 * _rows(student, teacher.detach(), temperature).mean()
    return mixed(divergence, student / temperature, labels, weight)


def _log_of_softmax(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    return temperature**2 * (p * (p.log() - q.log())).sum(1).mean()


def _log_of_students_softmax(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    q = (student / temperature).softmax(1).log()
    return temperature**2 * F.kl_div(q, (teacher / temperature).softmax(1), reduction="batchmean")


def _unshifted(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The logarithm of a sum of exp, which is too large for float32 where a logit is above 88."""
    softened = student / temperature
    q = softened - softened.exp().sum(1, keepdim=True).log()
    return temperature**2 * F.kl_div(q, (teacher / temperature).softmax(1), reduction="batchmean")


def _labels_by_softmax(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    picked = student.softmax(1).log().gather(1, labels[:, None])
    soft = temperature**2 * _rows(student, teacher.detach(), temperature).mean()
    return weight * soft - (1 - weight) * picked.mean()


def _summed(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, weight: float) -> Any:
    return mixed(temperature**2 * _rows(student, teacher.detach(), temperature).sum(), student, labels, weight)


def _hard(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return temperature**2 * F.cross_entropy(student / temperature, teacher.argmax(1))


DISTILLATION_MISTAKES = (
    Mistake(
        "KL reversed",
        "That is KL(student || teacher); weight the logarithms with the teacher's probabilities: KL(teacher || student).",
        _with(lambda s, t, T: T**2 * divergence_of(log_softmax(s, T), log_softmax(t, T)).mean()),
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
        _with(lambda s, t, T: T**2 * F.kl_div(log_softmax(s, T), log_softmax(t, T), reduction="batchmean")),
    ),
    Mistake(
        "probabilities for the student",
        "F.kl_div takes the student's log-probabilities first; you passed probabilities.",
        _with(lambda s, t, T: T**2 * F.kl_div((s / T).softmax(1), (t / T).softmax(1), reduction="batchmean")),
    ),
    Mistake(
        "softmax twice",
        "You apply softmax to probabilities; apply it to logits, and only once.",
        _with(
            lambda s, t, T: T**2 * divergence_of(log_softmax((t / T).softmax(1), 1), log_softmax((s / T).softmax(1), 1)).mean()
        ),
    ),
    Mistake(
        "logarithm of softmax",
        "A probability can be 0 in float32, and then its logarithm is -infinity; use log_softmax.",
        _with(_log_of_softmax),
    ),
    Mistake(
        "logarithm of the student's softmax",
        "A sure student's probabilities are 0 in float32, and their logarithm is -infinity; use log_softmax for the student.",
        _with(_log_of_students_softmax),
    ),
    Mistake(
        "exp of large logits",
        "exp of a logit above 88 is infinity in float32; log_softmax subtracts the largest logit first.",
        _with(_unshifted),
    ),
    Mistake(
        "labels by the logarithm of softmax",
        "Where the label's probability is 0 in float32, its logarithm is -infinity; use F.cross_entropy on the logits.",
        _labels_by_softmax,
    ),
    Mistake(
        "temperature on the student only",
        "You soften the student only; divide the teacher's logits by T too.",
        _with(lambda s, t, T: T**2 * divergence_of(log_softmax(t, 1), log_softmax(s, T)).mean()),
    ),
    Mistake(
        "temperature on the teacher only",
        "You soften the teacher only; divide the student's logits by T too.",
        _with(lambda s, t, T: T**2 * divergence_of(log_softmax(t, T), log_softmax(s, 1)).mean()),
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
        _with(lambda s, t, T: -(T**2) * (log_softmax(t, T).exp() * log_softmax(s, T)).sum(1).mean()),
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
