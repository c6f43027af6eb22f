"""The gradients of eight small batches are added, and not divided by eight: each step is eight times as long."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..instruments import gradient_report
from ..patient import Handles, Patient, Run
from ..subjects import clothes, drawn, hits, mlp, seeded, worst_class


def accumulate(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Add the gradient of the mean loss of (x, y) to .grad, in eight small batches; returns the mean loss."""
    total = 0.0
    for part, labels in zip(x.chunk(8), y.chunk(8), strict=True):
        loss = F.cross_entropy(model(part), labels) * len(part) / len(x)
        loss.backward()
        total += loss.item()
    return total


def broken(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Divides what it returns, and not what it adds."""
    total = 0.0
    for part, labels in zip(x.chunk(8), y.chunk(8), strict=True):
        loss = F.cross_entropy(model(part), labels)
        loss.backward()
        total += loss.item() * len(part) / len(x)
    return total


def run(seed: int, accumulate) -> Run:
    train, test = clothes(seed, 2000, 2000)
    model, generator, log = drawn(lambda: mlp(norm=False), seed), seeded(seed), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    for _ in range(8):
        total = 0.0
        for index in torch.randperm(2000, generator=generator).split(64):
            optimizer.zero_grad()
            total += accumulate(model, train.x[index], train.y[index]) * len(index) / 2000
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        log.append(total)
    handles = {"model": model, "accumulate": accumulate, "batch": train.first(64), "test": test}
    return Run(log, hits(model, test), handles)


def too_large(handles: Handles) -> float:
    """The norm of what is accumulated, relative to the gradient of the whole batch (both relative to the weight, by name)."""
    model, (x, y) = copy.deepcopy(handles["model"]), handles["batch"]
    whole = gradient_report(model, F.cross_entropy(model(x), y))
    model.zero_grad()
    handles["accumulate"](model, x, y)
    ratios = [
        float(p.grad.norm() / p.detach().norm()) / whole[name][0] if p.grad is not None else math.inf
        for name, p in model.named_parameters()
    ]
    return max(ratios)


PATIENT = Patient(
    level=3,
    kind="C",
    words="the gradients of eight small batches are added and not divided by eight",
    shows="test accuracy",
    healthy=accumulate,
    broken=broken,
    run=run,
    instrument="gradient_report",
    examine=too_large,
    threshold=2.0,
    asked="of model on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["model"], handles["test"]),
)
