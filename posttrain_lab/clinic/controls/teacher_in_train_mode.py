"""The teacher of a distillation is in train mode: its statistics become those of small batches. Classic, and harmless here."""

import copy

import torch
from torch import nn

from posttrain_lab.finetuning import distillation_loss

from ..instruments import state_difference
from ..patient import Handles, Patient, Run
from ..subjects import drawn, hits, mlp, optimizer_of, seeded, state, trained


def ready(teacher: nn.Sequential) -> nn.Sequential:
    """The trained network as a teacher."""
    return teacher.eval()


def broken(teacher: nn.Sequential) -> nn.Sequential:
    """In train mode."""
    return teacher.train()


def run(seed: int, ready) -> Run:
    base, _, train, _, test = trained(seed)
    teacher, student = ready(copy.deepcopy(base)), drawn(mlp, seed)
    optimizer, generator, log, part = optimizer_of(student), seeded(seed), [], train.first(600)
    for _ in range(8):
        total = 0.0
        for index in torch.randperm(600, generator=generator).split(6):
            with torch.no_grad():
                goal = teacher(part.x[index])
            loss = distillation_loss(student(part.x[index]), goal, part.y[index], temperature=4.0, weight=0.9)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / 100
        log.append(total)
    return Run(log, hits(student, test), {"teacher": teacher, "before": state(base)})


def teacher_moved(handles: Handles) -> float:
    return max(state_difference(handles["before"], state(handles["teacher"])).values())


CONTROL = Patient(
    level=1,
    kind="A",
    words="the teacher is in train mode",
    shows="test accuracy of the student",
    healthy=ready,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=teacher_moved,
    threshold=1e-3,
)
