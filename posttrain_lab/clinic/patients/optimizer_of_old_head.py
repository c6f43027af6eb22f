"""The optimizer is built before the head is exchanged: it goes on moving a head that nobody uses, and the new one stays as drawn."""

from collections.abc import Callable

import torch
from torch import nn

from ..instruments import state_difference
from ..patient import Patient, Run
from ..subjects import HEAD, drawn, fit, hits, optimizer_of, state, trained, turned, worst_class

Make = Callable[[nn.Module], torch.optim.Optimizer]


def exchange_head(model: nn.Sequential, head: nn.Module, make_optimizer: Make) -> torch.optim.Optimizer:
    """Give the network this head; returns make_optimizer(network), for all that is to learn."""
    model[-1] = head
    return make_optimizer(model)


def broken(model: nn.Sequential, head: nn.Module, make_optimizer: Make) -> torch.optim.Optimizer:
    """In the other order."""
    optimizer = make_optimizer(model)
    model[-1] = head
    return optimizer


def run(seed: int, exchange_head) -> Run:
    model, _, _, new, test = trained(seed)
    (head,) = drawn(lambda: nn.Sequential(nn.Linear(144, 10)), seed)
    optimizer = exchange_head(model, head, lambda network: optimizer_of(network, lr=2e-3))
    before = state(model)
    model.train()
    log = fit(model, turned(new.first(300)), optimizer, 12, seed, batch=25)
    return Run(log, hits(model, turned(test)), {"model": model.eval(), "before": before, "test": turned(test)})


PATIENT = Patient(
    level=2,
    kind="B",
    words="the optimizer is built before the head is exchanged",
    shows="test accuracy, turned clothes",
    healthy=exchange_head,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=lambda handles: state_difference(handles["before"], state(handles["model"]))[f"{HEAD}.weight"],
    threshold=0.1,
    sick="below",
    asked="of model on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["model"], handles["test"]),
)
