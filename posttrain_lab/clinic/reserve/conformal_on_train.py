"""The conformal quantile comes from the training images: 90 % are promised, and fewer are covered."""

import torch
from torch import nn

from posttrain_lab.calibration import conformal_quantile, conformal_scores, coverage, prediction_sets

from ..instruments import leak_check
from ..patient import Handles, Patient, Run
from ..subjects import Examples, answers, clothes, cnn, drawn, fit, optimizer_of


def calibration_part(parts: dict[str, Examples]) -> Examples:
    """The part from which the quantile is taken. parts: "train", "calibration" and "test"."""
    return parts["calibration"]


def broken(parts: dict[str, Examples]) -> Examples:
    """The largest part."""
    return max(parts.values(), key=lambda part: len(part.y) * (part is not parts["test"]))


def run(seed: int, calibration_part) -> Run:
    parts = dict(zip(("train", "calibration", "test"), clothes(seed, 1500, 500, 2000), strict=True))
    model = drawn(cnn, seed)
    log = fit(model, parts["train"], optimizer_of(model), 8, seed)
    part = calibration_part(parts)
    quantile = conformal_quantile(conformal_scores(probabilities(model.eval(), part), part.y), 0.1)
    shown = coverage(prediction_sets(probabilities(model, part), quantile), part.y)
    return Run(log, shown, {"model": model, "quantile": quantile, "fitted_on": part, "parts": parts})


def probabilities(model: nn.Module, part: Examples) -> torch.Tensor:
    """What the network gives each class."""
    return answers(model, part.x).double().softmax(1)


def seen_before(handles: Handles) -> float:
    used = handles["fitted_on"].x[:200]
    return max(leak_check(handles["parts"][name].x, used) for name in ("train", "test"))


def covered(handles: Handles) -> float:
    test = handles["parts"]["test"]
    return coverage(prediction_sets(probabilities(handles["model"], test), handles["quantile"]), test.y)


PATIENT = Patient(
    level=2,
    kind="G",
    words="the conformal quantile is taken from the training images",
    shows="coverage of the sets",
    healthy=calibration_part,
    broken=broken,
    run=run,
    instrument="leak_check",
    examine=seen_before,
    threshold=0.3,
    honest=covered,
    hurts="lie",
)
