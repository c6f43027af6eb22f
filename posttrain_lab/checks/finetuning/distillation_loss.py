"""Cases and known mistakes of `distillation_loss`: learn from the labels and from a larger network's probabilities.

Conventions that the notebook states in the same words: with p = softmax(teacher / T) and q = softmax(student / T) the loss is
weight * T^2 * mean over the images of KL(p || q) + (1 - weight) * mean cross-entropy of student (at temperature 1) and labels; natural
logarithms; a scalar tensor, as exact as the logits or more (float64 for float64 logits); a gradient reaches the student's logits and none
the teacher's; a probability may be 0, the student's too.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided
from posttrain_lab.checks.finetuning.distillation_loss_mistakes import DISTILLATION_MISTAKES
from posttrain_lab.checks.finetuning.distillation_loss_oracle import right_loss
from posttrain_lab.checks.finetuning.precise import precise


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


def _just_apart(draw: Draw) -> Case:
    """Student and teacher so near that KL rounds to less than 0 in float32; its gradient is still there."""
    while True:
        teacher = draw.normal(1, 4)
        student = teacher + 4e-4 * draw.normal(1, 4)
        if right_loss(student, teacher, torch.tensor([0]), 4.0, 1.0) < 0 and _kl(student, teacher, 4.0) < 0:
            return Case("nearly equal logits", (student, teacher, torch.tensor([0]), 4.0, 1.0), gradients=(0, 1))


def _kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """torch's own, which rounds in another order."""
    return F.kl_div(F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1), reduction="batchmean")


def distillation_workload(seed: int) -> list[Case]:
    """The notebook's batch, 37 classes, float64, and students that are sure of another class than the teacher or the label."""
    draw = Draw(seed, "workload of distillation_loss")

    def case(words: str, n: int, c: int, change: Callable[[Tensor], Tensor] = lambda x: x, weight: float = 0.9) -> Case:
        student, teacher = change(3 * ladder(draw, n, c)), draw.normal(n, c, std=3.0).to(change(torch.zeros(1)).dtype)
        return Case(words, (student, teacher, draw.codes(0, c - 1, n).long(), 4.0, weight), gradients=(0, 1))

    batch = case("the notebook's batch", 50, 10)
    return [
        Case("the notebook's batch, a teacher that asks for no gradient", batch.args, gradients=(0,)),
        case("its whole set", 600, 10),
        case("37 classes", 8, 37),
        case("in float64", 6, 10, Tensor.double),
        case("a student so sure that probabilities are 0", 7, 5, lambda x: 400 * x, weight=0.4),
        case("the same, the labels alone", 7, 5, lambda x: 100 * x, weight=0.0),
        _just_apart(draw),
    ]


distillation_loss = Exercise(
    name="distillation_loss",
    unit="03_fine_tuning",
    points=3,
    difficulty=3,
    minutes=16,
    oracle=right_loss,
    cases=distillation_cases,
    workload=distillation_workload,
    mistakes=DISTILLATION_MISTAKES,
    judge=precise(0.0001, 1e-05),
    legal={"float64 for float32": "as exact as the logits or more"},
    library="finetuning:distillation_loss",
)
