"""Shifted copies are made before the split: the same image is in training and validation."""

from collections.abc import Callable

import torch

from ..instruments import leak_check
from ..patient import Patient, Run
from ..subjects import Examples, clothes, drawn, fit, hits, mlp, optimizer_of, seeded

Copies = Callable[[Examples], Examples]


def split(part: Examples, copies: Copies, generator: torch.Generator) -> tuple[Examples, Examples]:
    """Four fifths to train on, with copies(part) of them, and one fifth to validate. The order is drawn."""
    order = torch.randperm(len(part.y), generator=generator)
    cut = 4 * len(order) // 5
    train, validation = (Examples(part.x[index], part.y[index]) for index in (order[:cut], order[cut:]))
    return copies(train), validation


def broken(part: Examples, copies: Copies, generator: torch.Generator) -> tuple[Examples, Examples]:
    """First the copies, then the split."""
    part = copies(part)
    order = torch.randperm(len(part.y), generator=generator)
    cut = 4 * len(order) // 5
    train, validation = (Examples(part.x[index], part.y[index]) for index in (order[:cut], order[cut:]))
    return train, validation


def run(seed: int, split) -> Run:
    part, fresh = clothes(seed, 600, 2000)
    generator = seeded(seed)
    shifts = torch.randint(-1, 2, (3, 2), generator=generator).tolist()
    copies = lambda p: Examples(torch.cat([p.x, *(p.x.roll(s, (2, 3)) for s in shifts)]), p.y.repeat(4))  # noqa: E731
    train, validation = split(part, copies, generator)
    model = drawn(mlp, seed)
    log = fit(model, train, optimizer_of(model), 12, seed)
    handles = {"model": model.eval(), "train": train, "validation": validation, "fresh": fresh}
    return Run(log, hits(model, validation), handles)


PATIENT = Patient(
    level=2,
    kind="G",
    words="shifted copies are made before the split, so that one image is in both parts",
    shows="validation accuracy",
    healthy=split,
    broken=broken,
    run=run,
    instrument="leak_check",
    examine=lambda handles: leak_check(handles["train"].x, handles["validation"].x[:150]),
    threshold=0.3,
    honest=lambda handles: hits(handles["model"], handles["fresh"]),
    hurts="lie",
    asked="the accuracy of model on fresh",
)
