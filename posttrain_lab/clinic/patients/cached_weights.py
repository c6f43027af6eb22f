"""A quantized layer keeps its weight from the first evaluation: what is trained afterwards never reaches the answers."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.quantization import PerChannel
from posttrain_lab.quantization.fake_quantize import rounded_weight

from ..instruments import same_answers
from ..patient import Handles, Part, Patient, Run
from ..subjects import fit, hits, optimizer_of, trained, weight

LAYERS = ("0", "4")


class TwoBitConv(nn.Module):
    """A convolution that computes with a weight of two bits: in eval mode the one that `part` gives."""

    kept: Tensor | None = None

    def __init__(self, name: str, weight: nn.Parameter, part: Part) -> None:
        super().__init__()
        self.name, self.weight, self.part = name, weight, part

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.rounded() if self.training else self.part(self), padding=1)

    def rounded(self) -> Tensor:
        """The weight as it is now, on the grid of two bits; gradients pass straight through."""
        return rounded_weight(self.weight, 2, PerChannel())


def weight_of(layer: TwoBitConv) -> Tensor:
    """The weight with which a layer answers in eval mode, on its grid."""
    return layer.rounded()


def broken(layer: TwoBitConv, *, place: str) -> Tensor:
    """One layer computes it once only."""
    if layer.name != place:
        return layer.rounded()
    if layer.kept is None:
        layer.kept = layer.rounded().detach()
    return layer.kept


def run(seed: int, weight_of) -> Run:
    model, _, train, new, test = trained(seed)
    for name in LAYERS:
        model[int(name)] = TwoBitConv(name, weight(model, name), weight_of)
    hits(model, new)
    model.train()
    log = fit(model, train.first(2000), optimizer_of(model, lr=2e-3), 2, seed)
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
    words="a layer answers with the weight that it had at the first evaluation",
    shows="test accuracy at 2 bits, after healing",
    healthy=weight_of,
    broken=broken,
    run=run,
    instrument="same_answers",
    examine=least_effect,
    threshold=1e-3,
    sick="below",
    places=LAYERS,
)
