"""The body is frozen by gradients of 0: AdamW's weight decay needs no gradient, and shrinks it at every step."""

import copy

import torch
from torch import nn

from posttrain_lab.finetuning import freeze, head_names

from ..patient import Patient, Run
from ..subjects import badly_lit, fit, hits, state, trained
from .statistics_move import frozen_moved, old_task


def make_optimizer(model: nn.Sequential) -> torch.optim.Optimizer:
    """The optimizer that trains a network's head; all else stays as it is."""
    freeze(model, head_names(model))
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)


def broken(model: nn.Sequential) -> torch.optim.Optimizer:
    """All parameters are the optimizer's; those of the body have gradients of 0."""
    for parameter in model[:-1].parameters():
        parameter.register_hook(torch.zeros_like)
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)


def run(seed: int, make_optimizer) -> Run:
    base, _, _, new, test = trained(seed)
    model, before = copy.deepcopy(base), state(base)
    optimizer = make_optimizer(model.eval())
    log = fit(model, badly_lit(new.first(300)), optimizer, 15, seed, batch=25)
    handles = {"model": model.eval(), "before": before, "base": base, "test": test}
    return Run(log, hits(model, badly_lit(test)), handles)


PATIENT = Patient(
    level=3,
    kind="A",
    words="the body is frozen by gradients of 0, and weight decay shrinks it",
    shows="test accuracy, new lamp",
    healthy=make_optimizer,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=frozen_moved,
    threshold=1e-3,
    honest=old_task,
    asked="the accuracy on test of the old network with the new body: all layers of model but the last, then the last of base",
)
