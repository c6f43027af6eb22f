"""Both factors of an adapter start at 0: neither has a gradient, so neither ever moves. The rest learns, and the loss falls."""

from torch import nn
from torch.nn import functional as F

from posttrain_lab.finetuning import LoRAConv2d, add_lora

from ..instruments import gradient_report
from ..patient import Handles, Patient, Run
from ..subjects import HEAD, Examples, badly_lit, fit, hits, optimizer_of, trained, turned, weight, worst_class

LAYERS = ("0", "4")


def begin(layer: LoRAConv2d) -> None:
    """How an adapter begins: it changes nothing yet."""
    nn.init.zeros_(layer.B)


def broken(layer: LoRAConv2d) -> None:
    """A is 0, too."""
    nn.init.zeros_(layer.B)
    nn.init.zeros_(layer.A)


def elsewhere(part: Examples) -> Examples:
    """Turned, and under another lamp."""
    return turned(badly_lit(part))


def run(seed: int, begin) -> Run:
    base, _, train, _, test = trained(seed)
    model = add_lora(base, 8, 16.0, list(LAYERS), seed=seed)
    for name in LAYERS:
        begin(model.get_submodule(name))
    weight(model, HEAD).requires_grad_(True)
    model.train()
    log = fit(model, elsewhere(train.first(1500)), optimizer_of(model, lr=4e-3), 8, seed, batch=25)
    test = elsewhere(test)
    return Run(log, hits(model, test), {"model": model.eval(), "train": elsewhere(train.first(200)), "test": test})


def least_gradient(handles: Handles) -> float:
    """The gradients of A and B together, of the adapter that has the least."""
    model, part = handles["model"], handles["train"]
    report = gradient_report(model, F.cross_entropy(model(part.x), part.y))
    return min(report[f"{name}.A"][0] + report[f"{name}.B"][0] for name in LAYERS)


PATIENT = Patient(
    level=3,
    kind="B",
    words="both factors of the adapters start at 0",
    shows="test accuracy, turned and under a new lamp",
    healthy=begin,
    broken=broken,
    run=run,
    instrument="gradient_report",
    examine=least_gradient,
    threshold=1e-6,
    sick="below",
    asked="of model on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["model"], handles["test"]),
)
