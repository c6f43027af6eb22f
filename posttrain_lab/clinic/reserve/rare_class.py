"""One class is nearly absent from the training images; accuracy does not see it."""

import torch

from ..instruments import group_report
from ..patient import Handles, Patient, Run
from ..subjects import Examples, answers, clothes, cnn, drawn, fit, hits, optimizer_of

RARE = 6  # shirts


def balanced(part: Examples) -> Examples:
    """The training images, so that every class has its weight in the loss."""
    few = (part.y == RARE).nonzero().flatten().repeat(30)
    return Examples(torch.cat([part.x, part.x[few]]), torch.cat([part.y, part.y[few]]))


def broken(part: Examples) -> Examples:
    """As they come."""
    return part


def run(seed: int, balanced) -> Run:
    train, test = (with_few(part, few) for part, few in zip(clothes(seed, 3000, 3000), (12, 60), strict=True))
    model = drawn(cnn, seed)
    log = fit(model, balanced(train), optimizer_of(model), 3, seed)
    return Run(log, hits(model.eval(), test), {"model": model, "test": test})


def with_few(part: Examples, few: int) -> Examples:
    """All images but most of the rare class."""
    keep = torch.ones(len(part.y), dtype=torch.bool)
    keep[(part.y == RARE).nonzero().flatten()[few:]] = False
    return Examples(part.x[keep], part.y[keep])


def rare_found(handles: Handles) -> float:
    test = handles["test"]
    found, n, *_ = group_report(answers(handles["model"], test.x), test.y, test.y)[RARE]
    return found / n


PATIENT = Patient(
    level=1,
    kind="D",
    words="one class is nearly absent, and not weighted",
    shows="test accuracy",
    healthy=balanced,
    broken=broken,
    run=run,
    instrument="group_report",
    examine=rare_found,
    threshold=0.02,
    sick="below",
    honest=rare_found,
)
