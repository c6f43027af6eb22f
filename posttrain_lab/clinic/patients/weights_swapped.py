"""The weights of the classes are exchanged: the rare class is made rarer. 88 % are right, and hardly one death is found."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.data import load_mortality
from posttrain_lab.metrics import accuracy

from ..instruments import group_report
from ..patient import Handles, Patient, Run
from ..subjects import Examples, answers, drawn, fit, optimizer_of


def class_weights(labels: Tensor) -> Tensor:
    """Weights with which both classes count equally in the loss."""
    counts = torch.bincount(labels)
    return counts.max() / counts


def broken(labels: Tensor) -> Tensor:
    """Upside down."""
    counts = torch.bincount(labels)
    return counts / counts.min()


def run(seed: int, class_weights) -> Run:
    people = load_mortality(seed)
    mean, spread = people.train.images.mean(0), people.train.images.std(0)
    train, test = (Examples((part.images - mean) / spread, part.labels) for part in (people.train, people.test))
    weight = class_weights(train.y)
    model = drawn(lambda: nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 2)), seed)
    log = fit(model, train, optimizer_of(model), 5, seed, loss=lambda z, y: F.cross_entropy(z, y, weight=weight))
    logits = answers(model, test.x)
    return Run(log, accuracy(logits, test.y), {"model": model, "logits": logits, "test": test})


def deaths_found(handles: Handles) -> float:
    found, n, *_ = group_report(handles["logits"], handles["test"].y, handles["test"].y)[1]
    return found / n


PATIENT = Patient(
    level=1,
    kind="D",
    words="the class weights are on the wrong class",
    shows="test accuracy",
    healthy=class_weights,
    broken=broken,
    run=run,
    instrument="group_report",
    examine=deaths_found,
    threshold=0.35,
    sick="below",
    honest=deaths_found,
    asked="of those in test who died (label 1), the share that model finds",
)
