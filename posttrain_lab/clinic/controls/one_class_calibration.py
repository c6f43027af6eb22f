"""The ranges of the activations come from images of one class, as from a sorted folder. They fit the others as well."""

import torch
from torch import Tensor

from posttrain_lab.data import Dataset, load_fashion
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import quantize_model

from ..instruments import group_report
from ..patient import Handles, Patient, Run
from ..subjects import answers, hits, photographs


def calibration_images(part: Dataset) -> tuple[Tensor, Tensor]:
    """A hundred images to take ranges from, and their labels."""
    return part.images[:100], part.labels[:100]


def broken(part: Dataset) -> tuple[Tensor, Tensor]:
    """The folder is sorted by class."""
    order = part.labels.sort(stable=True).indices[:100]
    return part.images[order], part.labels[order]


def run(seed: int, calibration_images) -> Run:
    model = load_pretrained("fashion_cnn")
    images, labels = calibration_images(load_fashion(seed + 1).calibration)
    small = quantize_model(model, images)
    return Run([], hits(small, photographs(seed, 500)), {"model": model, "images": images, "labels": labels})


def classes_seen(handles: Handles) -> float:
    logits = answers(handles["model"], handles["images"])
    return len(group_report(logits, handles["labels"], torch.as_tensor(handles["labels"])))


CONTROL = Patient(
    level=2,
    kind="F",
    words="ranges are calibrated on images of one class",
    shows="test accuracy at 8 bits",
    healthy=calibration_images,
    broken=broken,
    run=run,
    instrument="group_report",
    examine=classes_seen,
    threshold=5,
    sick="below",
)
