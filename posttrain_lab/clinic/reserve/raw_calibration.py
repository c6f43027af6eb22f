"""The network was trained on standardized images, and its ranges are calibrated on raw ones: most of its inputs are clipped."""

from torch import Tensor

from posttrain_lab.quantization import quantize_model

from ..instruments import same_answers
from ..patient import Patient, Run
from ..subjects import MEAN, SPREAD, hits, trained


def calibration_images(raw: Tensor) -> Tensor:
    """Pixels in [0, 1], as the network wants its inputs."""
    return (raw - MEAN) / SPREAD


def broken(raw: Tensor) -> Tensor:
    """As they are."""
    return raw.clone()


def run(seed: int, calibration_images) -> Run:
    model, log, train, _, test = trained(seed)
    small = quantize_model(model, calibration_images(train.x[:200] * SPREAD + MEAN))
    return Run(log, hits(small, test), {"model": model, "quantized": small, "test": test})


PATIENT = Patient(
    level=1,
    kind="F",
    words="ranges are calibrated on images that are not standardized",
    shows="test accuracy at 8 bits",
    healthy=calibration_images,
    broken=broken,
    run=run,
    instrument="same_answers",
    examine=lambda handles: same_answers(handles["model"], handles["quantized"], handles["test"].x[:100]),
    threshold=4.0,
)
