"""The best state so far is that of the dense network, before the mask: it is restored at the end."""

from torch import Tensor, nn

from posttrain_lab.metrics import sparsity
from posttrain_lab.pruning import apply_masks, magnitude_mask

from ..instruments import grid_report
from ..patient import Patient, Run
from ..subjects import fit, hits, optimizer_of, state, trained, weight

LAYERS = ("0", "4", "9")
Best = tuple[float, dict[str, Tensor]]


def first_best(dense: nn.Sequential, pruned: nn.Sequential, accuracy_of) -> Best:
    """The first entry of the list of candidates: (validation accuracy, state)."""
    return accuracy_of(pruned), state(pruned)


def broken(dense: nn.Sequential, pruned: nn.Sequential, accuracy_of) -> Best:
    """Of the other network."""
    return accuracy_of(dense), state(dense)


def run(seed: int, first_best) -> Run:
    dense, _, train, validation, test = trained(seed)
    masks = {name: magnitude_mask(weight(dense, name).detach(), 0.9) for name in LAYERS}
    model = apply_masks(dense, masks)
    best, log = first_best(dense, model, lambda network: hits(network, validation)), []
    optimizer = optimizer_of(model, lr=2e-3)
    for epoch in range(3):
        log += fit(model.train(), train.first(1500), optimizer, 1, seed + epoch)
        model = model.eval()
        for name, mask in masks.items():
            weight(model, name).data.mul_(mask)
        best = max(best, (hits(model, validation), state(model)), key=lambda one: one[0])
    model.load_state_dict(best[1])
    return Run(log, hits(model, test), {"model": model, "test": test})


PATIENT = Patient(
    level=3,
    kind="E",
    words="the best state is that of the dense network",
    shows="test accuracy at sparsity 0.90",
    healthy=first_best,
    broken=broken,
    run=run,
    instrument="grid_report",
    examine=lambda handles: min(grid_report(weight(handles["model"], name))[0] for name in LAYERS),
    threshold=0.7,
    sick="below",
    honest=lambda handles: sparsity(handles["model"]),
)
