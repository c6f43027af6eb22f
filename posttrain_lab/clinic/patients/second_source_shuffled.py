"""The images of the second source are shuffled and its labels are not. The first source is learned all the same."""

import torch
from torch import Tensor

from ..instruments import group_report
from ..patient import Handles, Patient, Run
from ..subjects import Examples, answers, cnn, drawn, fit, hits, optimizer_of, seeded, two_sources


def shuffled(part: Examples, generator: torch.Generator) -> Examples:
    """The examples in random order."""
    order = torch.randperm(len(part.y), generator=generator)
    return Examples(part.x[order], part.y[order])


def broken(part: Examples, generator: torch.Generator) -> Examples:
    """The labels stay where they were."""
    order = torch.randperm(len(part.y), generator=generator)
    return Examples(part.x[order], part.y)


def run(seed: int, shuffled) -> Run:
    old, new, old_test, new_test = two_sources(seed)
    new = shuffled(new, seeded(seed))
    train = Examples(torch.cat([old.x, new.x]), torch.cat([old.y, new.y]))
    source = torch.cat([torch.zeros_like(old.y), torch.ones_like(new.y)])
    model = drawn(cnn, seed)
    log = fit(model, train, optimizer_of(model), 3, seed)
    handles = {"model": model.eval(), "train": train, "source": source, "new_test": new_test}
    return Run(log, hits(model, old_test), handles)


def worst_source(handles: Handles) -> float:
    logits: Tensor = answers(handles["model"], handles["train"].x)
    report = group_report(logits, handles["train"].y, handles["source"])
    return min(right / n for right, n, *_ in report.values())


PATIENT = Patient(
    level=1,
    kind="D",
    words="the labels of the second source are not those of its images",
    shows="test accuracy, first source",
    healthy=shuffled,
    broken=broken,
    run=run,
    instrument="group_report",
    examine=worst_source,
    threshold=0.75,
    sick="below",
    honest=lambda handles: hits(handles["model"], handles["new_test"]),
    asked="the accuracy of model on new_test",
)
