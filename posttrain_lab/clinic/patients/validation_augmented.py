"""The images of the validation go through the random transform of the training."""

import torch
from torch import Tensor

from posttrain_lab.metrics import accuracy

from ..instruments import company
from ..patient import Patient, Run
from ..subjects import answers, hits, seeded, trained


def prepare(x: Tensor, generator: torch.Generator) -> Tensor:
    """The images of the validation, ready for the network."""
    return x.clone()


def broken(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each one is shifted by up to a pixel."""
    shifts = torch.randint(-1, 2, (len(x), 2), generator=generator).tolist()
    return torch.stack([image.roll(shift, (1, 2)) for image, shift in zip(x, shifts, strict=True)])


def run(seed: int, prepare) -> Run:
    model, log, _, validation, _ = trained(seed)
    generator = seeded(seed)
    pipeline = lambda x: model(prepare(x, generator))  # noqa: E731
    shown = accuracy(answers(pipeline, validation.x), validation.y)
    return Run(log, shown, {"model": model, "pipeline": pipeline, "validation": validation})


PATIENT = Patient(
    level=1,
    kind="F",
    words="the validation images go through the random transform of the training",
    shows="validation accuracy",
    healthy=prepare,
    broken=broken,
    run=run,
    instrument="company",
    examine=lambda handles: company(handles["pipeline"], handles["validation"].x[:48]),
    threshold=0.01,
    honest=lambda handles: hits(handles["model"], handles["validation"]),
    hurts="lie",
    asked="the accuracy of model, in eval mode, on validation as its images are",
)
