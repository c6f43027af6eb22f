"""The penalty that is to hold the old task is computed from detached weights: it is in the loss, and has no gradient."""

import copy

from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.finetuning import anchor_of, l2_sp_penalty

from ..instruments import gradient_report
from ..patient import Patient, Run
from ..subjects import fit, hits, optimizer_of, trained, turned


def penalty(model: nn.Module, anchor: dict[str, Tensor]) -> Tensor:
    """How far have the parameters moved from the old network? 0.1 times the sum of the squares."""
    return l2_sp_penalty(model, anchor, 0.2)


def broken(model: nn.Module, anchor: dict[str, Tensor]) -> Tensor:
    """Of a detached copy."""
    return l2_sp_penalty(copy.deepcopy(model).requires_grad_(False), anchor, 0.2)


def run(seed: int, penalty) -> Run:
    model, _, _, new, test = trained(seed)
    anchor = {name: value.clone() for name, value in anchor_of(model).items()}
    loss = lambda z, y: F.cross_entropy(z, y) + penalty(model, anchor)  # noqa: E731
    log = fit(model, turned(new.first(300)), optimizer_of(model, lr=2e-3), 8, seed, batch=25, loss=loss)
    return Run(log, hits(model, turned(test)), {"model": model, "penalty": lambda: penalty(model, anchor), "test": test})


PATIENT = Patient(
    level=3,
    kind="B",
    words="the penalty for leaving the old network has no gradient",
    shows="test accuracy, turned clothes",
    healthy=penalty,
    broken=broken,
    run=run,
    instrument="gradient_report",
    examine=lambda handles: sum(size for size, _ in gradient_report(handles["model"], handles["penalty"]()).values()),
    threshold=1e-3,
    sick="below",
    honest=lambda handles: hits(handles["model"], handles["test"]),
    asked="the accuracy of model on test, the clothes as they were",
)
