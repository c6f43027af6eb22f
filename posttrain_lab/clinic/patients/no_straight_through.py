"""Training with rounded weights and without a straight-through gradient: only norms and biases learn."""

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from posttrain_lab.quantization import PerChannel, fake_quantize_weight
from posttrain_lab.quantization.fake_quantize import rounded_weight

from ..instruments import gradient_report
from ..patient import Handles, Part, Patient, Run
from ..subjects import fit, hits, optimizer_of, trained, worst_class

LAYERS = ("0", "4", "9")


class Rounded(nn.Module):
    """A weight that a layer computes with, as torch's parametrizations want it."""

    def __init__(self, rounded: Part) -> None:
        super().__init__()
        self.rounded = rounded

    def forward(self, weight: Tensor) -> Tensor:
        return self.rounded(weight)


def rounded(weight: Tensor) -> Tensor:
    """A weight on the grid of two bits, for training."""
    return rounded_weight(weight, 2, PerChannel())


def broken(weight: Tensor) -> Tensor:
    """Rounding to codes passes no gradient."""
    return fake_quantize_weight(weight, 2, PerChannel())


def run(seed: int, rounded) -> Run:
    model, _, train, _, test = trained(seed)
    for name in LAYERS:
        parametrize.register_parametrization(model.get_submodule(name), "weight", Rounded(rounded))
    model.train()
    log = fit(model, train, optimizer_of(model, lr=2e-3), 3, seed)
    return Run(log, hits(model, test), {"model": model.eval(), "train": train.first(100), "test": test})


def least_gradient(handles: Handles) -> float:
    model, part = handles["model"], handles["train"]
    report = gradient_report(model, F.cross_entropy(model(part.x), part.y))
    return min(size for name, (size, _) in report.items() if name.endswith("original"))


PATIENT = Patient(
    level=3,
    kind="B",
    words="weights are rounded without a straight-through gradient",
    shows="test accuracy at 2 bits",
    healthy=rounded,
    broken=broken,
    run=run,
    instrument="gradient_report",
    examine=least_gradient,
    threshold=1e-6,
    sick="below",
    asked="of model on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["model"], handles["test"]),
)
