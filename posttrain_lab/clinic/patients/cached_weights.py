"""Quantized layers keep their weight from the first evaluation: what is trained afterwards never reaches the answers."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.quantization import PerChannel
from posttrain_lab.quantization.fake_quantize import rounded_weight

from ..instruments import same_answers
from ..patient import Handles, Part, Patient, Run
from ..subjects import fit, hits, optimizer_of, trained, weight, worst_class

LAYERS = ("0", "4")


class RoundedConv(nn.Module):
    """A convolution that computes with a weight of three bits: in eval mode the one that `part` gives."""

    kept: Tensor | None = None

    def __init__(self, weight: nn.Parameter, part: Part) -> None:
        super().__init__()
        self.weight, self.part = weight, part

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.rounded() if self.training else self.part(self), padding=1)

    def rounded(self) -> Tensor:
        """The weight as it is now, on the grid of three bits; gradients pass straight through."""
        return rounded_weight(self.weight, 3, PerChannel())


def weight_of(layer: RoundedConv) -> Tensor:
    """The weight with which a layer answers in eval mode, on its grid."""
    return layer.rounded()


def broken(layer: RoundedConv) -> Tensor:
    """It is computed once only."""
    if layer.kept is None:
        layer.kept = layer.rounded().detach()
    return layer.kept


def run(seed: int, weight_of) -> Run:
    model, _, train, new, test = trained(seed)
    for name in LAYERS:
        model[int(name)] = RoundedConv(weight(model, name), weight_of)
    hits(model, new)
    model.train()
    log = fit(model, train.first(2000), optimizer_of(model, lr=5e-3), 3, seed)
    return Run(log, hits(model, test), {"model": model.eval(), "test": test})


def least_effect(handles: Handles) -> float:
    """The weights of one layer are halved: by how much do the answers change? The least of all layers."""
    model, found = handles["model"], []
    for name in LAYERS:
        other = copy.deepcopy(model)
        with torch.no_grad():
            weight(other, name).mul_(0.5)
        found.append(same_answers(model, other, handles["test"].x[:20]))
    return min(found)


PATIENT = Patient(
    level=2,
    kind="E",
    words="the layers answer with the weights that they had at the first evaluation",
    shows="test accuracy at 3 bits, after healing",
    healthy=weight_of,
    broken=broken,
    run=run,
    instrument="same_answers",
    examine=least_effect,
    threshold=1e-3,
    sick="below",
    asked="of model on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["model"], handles["test"]),
)
