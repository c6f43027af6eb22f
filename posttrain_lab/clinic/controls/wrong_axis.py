"""One scale for each input in place of each output, at three bits: here it is better. An integer kernel could not use it, though."""

from torch import Tensor

from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import PerChannel, fake_quantize_weight, fold_model

from ..instruments import grid_report
from ..patient import Patient, Run
from ..patients.scale_before_fold import convolutions
from ..subjects import hits, photographs


def rounded(weight: Tensor) -> Tensor:
    """The weight of a convolution on the grid of three bits, with one scale for each output channel."""
    return fake_quantize_weight(weight, 3, PerChannel(axis=0))


def broken(weight: Tensor) -> Tensor:
    """Along the inputs."""
    return fake_quantize_weight(weight, 3, PerChannel(axis=1))


def run(seed: int, rounded) -> Run:
    folded = fold_model(load_pretrained("fashion_cnn"))
    for conv in convolutions(folded):
        conv.weight.data = rounded(conv.weight.detach())
    return Run([], hits(folded, photographs(seed, 500)), {"quantized": folded})


CONTROL = Patient(
    level=1,
    kind="F",
    words="the scales lie along the inputs in place of the outputs",
    shows="test accuracy at 3 bits",
    healthy=rounded,
    broken=broken,
    run=run,
    instrument="grid_report",
    examine=lambda handles: max(grid_report(conv.weight)[1] for conv in convolutions(handles["quantized"])),
    threshold=20,
)
