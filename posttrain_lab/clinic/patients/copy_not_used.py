"""The quantized copy is made, and the float network is evaluated."""

import copy

from torch import nn

from posttrain_lab.quantization import PerChannel, fake_quantize_weight

from ..instruments import grid_report
from ..patient import Patient, Run
from ..subjects import hits, trained, weight

LAYERS = ("0", "4", "9")


def deployed(model: nn.Sequential, bits: int) -> nn.Sequential:
    """The network that goes to the customer, its weights rounded to this many bits."""
    small = copy.deepcopy(model)
    for name in LAYERS:
        weight(small, name).data = fake_quantize_weight(weight(model, name).detach(), bits, PerChannel())
    return small


def broken(model: nn.Sequential, bits: int) -> nn.Sequential:
    """Gives back what it was given."""
    small = copy.deepcopy(model)
    for name in LAYERS:
        weight(small, name).data = fake_quantize_weight(weight(model, name).detach(), bits, PerChannel())
    return model


def run(seed: int, deployed) -> Run:
    model, log, _, _, test = trained(seed)
    used = deployed(model, bits=3)
    return Run(log, hits(used, test), {"model": model, "used": used, "test": test})


PATIENT = Patient(
    level=1,
    kind="E",
    words="the quantized copy is made, and the float network evaluated",
    shows="test accuracy at 3 bits",
    healthy=deployed,
    broken=broken,
    run=run,
    instrument="grid_report",
    examine=lambda handles: max(grid_report(weight(handles["used"], name))[1] for name in LAYERS),
    threshold=20,
    honest=lambda handles: hits(deployed(handles["model"], 3), handles["test"]),
    hurts="lie",
    asked="the accuracy on test with the weights of the layers rounded to 3 bits",
)
