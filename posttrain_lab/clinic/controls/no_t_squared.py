"""Distillation without T squared: the soft part of the gradient is 16 times smaller. AdamW divides by the gradient's size, and all is well."""

import torch
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab.data import load_mnist
from posttrain_lab.finetuning import distillation_loss
from posttrain_lab.models import digits_cnn, load_pretrained

from ..instruments import gradient_report
from ..patient import Handles, Patient, Run
from ..subjects import Examples, answers, drawn, hits, optimizer_of, seeded

T = 4.0


def soft_loss(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """How far are the student's softened probabilities from the teacher's?"""
    return distillation_loss(student, teacher, labels, temperature=T, weight=1.0)


def broken(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Not multiplied by T squared."""
    return distillation_loss(student, teacher, labels, temperature=T, weight=1.0) / T**2


def run(seed: int, soft_loss) -> Run:
    split = load_mnist()
    part, test = split.train.first(300), Examples(split.test.images, split.test.labels)
    goal = answers(load_pretrained("mnist_cnn"), part.images)
    student = drawn(lambda: digits_cnn(width=6), seed)
    optimizer, generator, log = optimizer_of(student), seeded(seed), []
    for _ in range(8):
        total = 0.0
        for index in torch.randperm(300, generator=generator).split(25):
            logits, labels = student(part.images[index]), part.labels[index]
            loss = 0.9 * soft_loss(logits, goal[index], labels) + 0.1 * F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / 12
        log.append(total)
    handles = {"student": student.eval(), "soft_loss": soft_loss, "part": part.first(100), "goal": goal[:100]}
    return Run(log, hits(student, test), handles)


def soft_over_hard(handles: Handles) -> float:
    """The gradient of the soft part over that of the labels, both of the last layer's weight."""
    student, part = handles["student"], handles["part"]
    logits = student(part.images)
    soft = gradient_report(student, handles["soft_loss"](logits, handles["goal"], part.labels))
    hard = gradient_report(student, F.cross_entropy(logits, part.labels))
    name = [name for name in hard if name.endswith("weight")][-1]
    return soft[name][0] / hard[name][0]


CONTROL = Patient(
    level=2,
    kind="D",
    words="the soft loss is not multiplied by T squared",
    shows="test accuracy of the student",
    healthy=soft_loss,
    broken=broken,
    run=run,
    instrument="gradient_report",
    examine=soft_over_hard,
    threshold=2.5,
    sick="below",
)
