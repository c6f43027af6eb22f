"""Two networks are compared by the time for an image: one is given 64 at once, the other single images."""

import copy
import time
from collections.abc import Callable

from torch import Tensor, nn

from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization import PerChannel, fake_quantize_weight

from ..instruments import count_calls
from ..patient import Handles, Patient, Run
from ..subjects import answers, photographs

Network = Callable[[Tensor], Tensor]


def one_call(model: nn.Module, name: str, images: Tensor) -> Tensor:
    """What is timed: a call of the network "float" or "quantized"; returns its answers."""
    return answers(model, images[:1])


def broken(model: nn.Module, name: str, images: Tensor) -> Tensor:
    """One network gets all of them."""
    return answers(model, images[: 64 if name == "quantized" else 1])


def run(seed: int, one_call) -> Run:
    networks = {"float": load_pretrained("fashion_cnn"), "quantized": copy.deepcopy(load_pretrained("fashion_cnn"))}
    for parameter in networks["quantized"].parameters():
        if parameter.ndim > 1:
            parameter.data = fake_quantize_weight(parameter.data, 8, PerChannel())
    images, each = photographs(seed, 64).x, {}
    for name, model in networks.items():
        started = time.perf_counter()
        images_done = sum(len(one_call(model, name, images)) for _ in range(10))
        each[name] = (time.perf_counter() - started) / images_done
    handles = {"networks": networks, "one_call": one_call, "images": images}
    return Run([], each["float"] / each["quantized"], handles)


def calls_differ(handles: Handles) -> float:
    """The larger number of images in a call, over the smaller."""
    counts = [
        count_calls(model, lambda name=name, model=model: handles["one_call"](model, name, handles["images"]))
        for name, model in handles["networks"].items()
    ]
    return max(counts) / min(counts)


PATIENT = Patient(
    level=3,
    kind="H",
    words="one network is timed with 64 images at once, the other with one",
    shows="times faster for an image",
    healthy=one_call,
    broken=broken,
    run=run,
    instrument="count_calls",
    examine=calls_differ,
    threshold=1.5,
    hurts="shown",
)
