"""A batch norm is in train mode during the evaluation, and the test set is sorted by class."""

import copy

from torch import nn

from posttrain_lab.metrics import accuracy

from ..instruments import company
from ..patient import Patient, Run
from ..subjects import answers, hits, trained


def ready(model: nn.Sequential) -> nn.Sequential:
    """The trained network, ready to be tested."""
    return model.eval()


def broken(model: nn.Sequential, *, place: str) -> nn.Sequential:
    """One norm is left out."""
    for name, layer in model.named_children():
        layer.train(name == place)
    return model


def run(seed: int, ready) -> Run:
    model, log, _, _, test = trained(seed)
    model = ready(model.train())
    order = test.y.sort(stable=True).indices
    logits = answers(copy.deepcopy(model), test.x[order], batch=100)
    return Run(log, accuracy(logits, test.y[order]), {"model": model, "test": test})


PATIENT = Patient(
    level=1,
    kind="A",
    words="a batch norm is in train mode while the network is tested, class after class",
    shows="test accuracy",
    healthy=ready,
    broken=broken,
    run=run,
    instrument="company",
    examine=lambda handles: company(handles["model"], handles["test"].x[:64]),
    threshold=0.01,
    honest=lambda handles: hits(handles["model"], handles["test"]),
    hurts="lie",
    places=("1", "5"),
    asked="the accuracy of model, in eval mode, on test",
)
