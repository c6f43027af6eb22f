"""Everything is frozen but the head; the statistics of a batch norm move all the same, and the old task is lost."""

import copy

from torch import nn

from posttrain_lab.finetuning import freeze, head_names

from ..instruments import state_difference
from ..patient import Handles, Patient, Run
from ..subjects import HEAD, badly_lit, fit, hits, optimizer_of, state, trained


def prepare(model: nn.Sequential) -> None:
    """Get a network ready to learn a new head; all else stays as it is."""
    model.train()
    freeze(model, head_names(model))


def broken(model: nn.Sequential, *, place: str) -> None:
    """The parameters are frozen, but one norm is in train mode."""
    model.requires_grad_(False)
    model[-1].requires_grad_(True)
    for name, layer in model.named_children():
        layer.train(name == place)


def run(seed: int, prepare) -> Run:
    base, _, _, new, test = trained(seed)
    model, before = copy.deepcopy(base), state(base)
    prepare(model)
    log = fit(model, badly_lit(new.first(300)), optimizer_of(model, lr=1e-2), 8, seed, batch=25)
    handles = {"model": model.eval(), "before": before, "base": base, "test": test}
    return Run(log, hits(model, badly_lit(test)), handles)


def frozen_moved(handles: Handles) -> float:
    moved = state_difference(handles["before"], state(handles["model"]))
    return max(change for name, change in moved.items() if not name.startswith(f"{HEAD}."))


def old_task(handles: Handles) -> float:
    """The accuracy on the old images, with the old head on the body as it is now."""
    return hits(nn.Sequential(*handles["model"][:-1], handles["base"][-1]), handles["test"])


PATIENT = Patient(
    level=2,
    kind="A",
    words="all parameters are frozen but the head's, and the statistics of one batch norm move",
    shows="test accuracy, new lamp",
    healthy=prepare,
    broken=broken,
    run=run,
    instrument="state_difference",
    examine=frozen_moved,
    threshold=1e-3,
    honest=old_task,
    places=("1", "5"),
    asked="the accuracy on test of the old network with the new body: all layers of model but the last, then the last of base",
)
