"""The mask is applied before the step and not after it: the step fills the zeros of one layer, and sparsity is read off the mask."""

import torch
from torch import Tensor, nn

from posttrain_lab.metrics import sparsity
from posttrain_lab.pruning import apply_masks, magnitude_mask

from ..instruments import grid_report
from ..patient import Patient, Run
from ..subjects import fit, hits, optimizer_of, trained, weight

LAYERS = ("0", "4", "9")


def step(model: nn.Sequential, optimizer: torch.optim.Optimizer, masks: dict[str, Tensor]) -> None:
    """One step of the optimizer; what is pruned stays 0."""
    optimizer.step()
    for name, mask in masks.items():
        weight(model, name).data.mul_(mask)


def broken(model: nn.Sequential, optimizer: torch.optim.Optimizer, masks: dict[str, Tensor], *, place: str) -> None:
    """One layer is masked before the step."""
    weight(model, place).data.mul_(masks[place])
    optimizer.step()
    for name in masks.keys() - {place}:
        weight(model, name).data.mul_(masks[name])


def run(seed: int, step) -> Run:
    model, _, train, _, test = trained(seed)
    masks = {name: magnitude_mask(weight(model, name).detach(), 0.8) for name in LAYERS}
    model = apply_masks(model, masks)
    optimizer = optimizer_of(model, lr=2e-3)
    model.train()
    log = fit(model, train.first(2000), optimizer, 2, seed, step=lambda: step(model, optimizer, masks))
    return Run(log, hits(model, test), {"model": model.eval(), "test": test})


PATIENT = Patient(
    level=1,
    kind="E",
    words="one layer's mask is applied before the step and not after it",
    shows="test accuracy at sparsity 0.80",
    healthy=step,
    broken=broken,
    run=run,
    instrument="grid_report",
    examine=lambda handles: min(grid_report(weight(handles["model"], name))[0] for name in LAYERS),
    threshold=0.7,
    sick="below",
    honest=lambda handles: sparsity(handles["model"]),
    places=("4", "9"),
    asked="metrics.sparsity(model)",
)
