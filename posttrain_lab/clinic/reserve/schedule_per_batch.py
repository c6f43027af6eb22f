"""A schedule that is meant for epochs steps with every batch: after two epochs the learning rate is nearly 0."""

from collections.abc import Callable

import torch

from ..instruments import state_difference
from ..patient import Handles, Patient, Run
from ..subjects import clothes, cnn, drawn, fit, hits, optimizer_of, state

Steps = tuple[Callable[[], object], Callable[[], object]]


def steps_of(optimizer: torch.optim.Optimizer) -> Steps:
    """What is done after each batch, and after each epoch; the learning rate falls by 3 % an epoch."""
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
    return optimizer.step, schedule.step


def broken(optimizer: torch.optim.Optimizer) -> Steps:
    """By 3 % a batch."""
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
    return lambda: (optimizer.step(), schedule.step()), lambda: None


def run(seed: int, steps_of) -> Run:
    train, test = clothes(seed, 2000, 2000)
    model, states = drawn(cnn, seed), []
    optimizer = optimizer_of(model)
    step, end = steps_of(optimizer)
    log = fit(model, train, optimizer, 5, seed, step=step, end=lambda: (end(), states.append(state(model))))
    return Run(log, hits(model.eval(), test), {"model": model, "after_each_epoch": states})


def last_moved(handles: Handles) -> float:
    before, after = handles["after_each_epoch"][-2:]
    return state_difference(before, after)["0.weight"]


PATIENT = Patient(
    level=2,
    kind="C",
    words="the schedule for epochs steps with every batch",
    shows="test accuracy",
    healthy=steps_of,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=last_moved,
    threshold=0.01,
    sick="below",
)
