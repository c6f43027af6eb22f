"""The scales of 8 bits are taken from the weights as they were before batch norm was folded into them: large channels are clipped."""

from torch import Tensor, nn

from posttrain_lab.quantization import channel_qparams, fold_model

from ..instruments import grid_report
from ..patient import Patient, Run
from ..subjects import hits, trained, worst_class


def scale(plain: nn.Conv2d, folded: nn.Conv2d) -> Tensor:
    """The scale of each output channel, for 8 bits. plain, folded: the convolution before and after batch norm is folded into it."""
    return channel_qparams(folded.weight.detach(), 8)


def broken(plain: nn.Conv2d, folded: nn.Conv2d) -> Tensor:
    """Of the weight before folding."""
    return channel_qparams(plain.weight.detach(), 8)


def run(seed: int, scale) -> Run:
    model, log, _, _, test = trained(seed)
    folded = fold_model(model)
    for plain, conv in zip(convolutions(model), convolutions(folded), strict=True):
        steps = scale(plain, conv).reshape(-1, 1, 1, 1)
        conv.weight.data = (conv.weight.data / steps).round().clamp(-127, 127) * steps
    return Run(log, hits(folded, test), {"model": model, "quantized": folded, "test": test})


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """The convolutions of a network, in order."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


PATIENT = Patient(
    level=2,
    kind="F",
    words="the scales are taken before batch norm is folded into the weights",
    shows="test accuracy at 8 bits",
    healthy=scale,
    broken=broken,
    run=run,
    instrument="grid_report",
    examine=lambda handles: max(grid_report(conv.weight)[2] for conv in convolutions(handles["quantized"])),
    threshold=0.2,
    asked="of quantized on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["quantized"], handles["test"]),
)
