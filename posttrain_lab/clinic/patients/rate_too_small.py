"""The learning rate is 100 times too small. A pretrained network starts well, which hides it."""

import torch
from torch import nn

from ..instruments import state_difference
from ..patient import Handles, Patient, Run
from ..subjects import digits, fit, hits, state, worst_class


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that adapts a trained network to a new scanner."""
    return torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)


def broken(model: nn.Module) -> torch.optim.Optimizer:
    """Two zeros too many."""
    return torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01)


def run(seed: int, make_optimizer) -> Run:
    model, few, test = digits(seed)
    before = state(model)
    model.train()
    log = fit(model, few, make_optimizer(model), 12, seed, batch=25)
    model.eval()
    return Run(log, hits(model, test), {"model": model, "before": before, "test": test})


def weights_moved(handles: Handles) -> float:
    after = state(handles["model"])
    moved = state_difference(handles["before"], after)
    return max(change for name, change in moved.items() if after[name].ndim > 1)


PATIENT = Patient(
    level=1,
    kind="C",
    words="the learning rate is 100 times too small",
    shows="test accuracy, new scanner",
    healthy=make_optimizer,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=weights_moved,
    threshold=0.05,
    sick="below",
    asked="of model on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["model"], handles["test"]),
)
