"""The temperature is fitted on the images that the network has learned, where it is right and sure of it."""

import torch
from torch import nn

from posttrain_lab.calibration import fit_temperature

from ..instruments import leak_check
from ..patient import Handles, Patient, Run
from ..subjects import Examples, answers, clothes, drawn, ece, fit, mlp, optimizer_of

NAMES: tuple[str, ...] = ("train", "calibration", "validation", "test")


class Watched(dict[str, Examples]):
    """The parts of the data by name; it notes which were asked for."""

    asked: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Examples:
        self.asked |= {name}
        return super().__getitem__(name)


def temperature(model: nn.Module, parts: dict[str, Examples]) -> float:
    """The temperature of this network. parts: "train", "calibration", "validation" and "test"."""
    part = parts["calibration"]
    return fit_temperature(answers(model, part.x), part.y)


def broken(model: nn.Module, parts: dict[str, Examples]) -> float:
    """On the training images."""
    part = parts["train"]
    return fit_temperature(answers(model, part.x), part.y)


def run(seed: int, temperature) -> Run:
    parts = dict(zip(NAMES, clothes(seed, 1000, 500, 500, 2000), strict=True))
    model, watched = drawn(mlp, seed), Watched(parts)
    log = fit(model, parts["train"], optimizer_of(model), (8, 12, 16)[seed % 3], seed)
    found = temperature(model.eval(), watched)
    used = Examples(*map(torch.cat, zip(*(parts[name] for name in sorted(watched.asked)), strict=True)))
    shown = ece(answers(model, used.x) / found, used.y)
    return Run(log, shown, {"model": model, "temperature": found, "fitted_on": used.x, "parts": parts})


def seen_before(handles: Handles) -> float:
    used, parts = handles["fitted_on"][:200], handles["parts"]
    return max(leak_check(parts[name].x, used) for name in ("train", "test"))


def test_ece(handles: Handles) -> float:
    test = handles["parts"]["test"]
    return ece(answers(handles["model"], test.x) / handles["temperature"], test.y)


PATIENT = Patient(
    level=2,
    kind="G",
    words="the temperature is fitted on the training images",
    shows="calibration error",
    healthy=temperature,
    broken=broken,
    run=run,
    instrument="leak_check",
    examine=seen_before,
    threshold=0.3,
    honest=test_ece,
    hurts="lie",
    asked="the calibration error on parts['test'], at this temperature",
)
