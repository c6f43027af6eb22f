"""The networks that `posttrain-lab deploy` knows by name, in integers, each with the images that it is compared and measured on."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from posttrain_lab.calibration import fit_temperature
from posttrain_lab.data import load_fashion, load_mnist
from posttrain_lab.data.files import FILES, open_file
from posttrain_lab.deployment.contract import Contract
from posttrain_lab.deployment.deployable import About, Deployable, from_program
from posttrain_lab.deployment.operations import operations
from posttrain_lab.deployment.saved import load_program
from posttrain_lab.measure import predict
from posttrain_lab.models import PRETRAINED, fashion_cnn, load_pretrained
from posttrain_lab.projects.edge import PROJECT, photographs, program_of, read_artefact
from posttrain_lab.projects.instances import PUBLIC, instance_seed
from posttrain_lab.pruning import load_pruned
from posttrain_lab.quantization import QuantizationConfig, quantize_model

from .efficientnet_lite0 import efficientnet_lite0

PRUNED, LITE0 = "fashion_cnn_pruned", "efficientnet_lite0"
NAMES = (*PRETRAINED, PRUNED, LITE0)
FASHION = About(
    "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, MIT): grey pictures of ten kinds of clothes from one shop. Measured on validation images "
    "of the shipped 10,000; ranges and temperature come from its calibration images.",
    "Teaching: to see a network of one's own run on a device.",
    (
        "It knows ten kinds of clothes, light on black, one in the middle of the picture. Anything else gets one of the ten names too.",
        "The pictures come from one shop of one time. Nobody tried it on clothes of others, worn, or photographed by a phone.",
    ),
)
PHOTOGRAPHS = replace(
    FASHION,
    data="Fashion-MNIST, as the camera of the edge project sees it. Measured on photographs of validation images. What it was trained on, "
    "whoever handed it in knows.",
)
DIGITS = About(
    "MNIST (LeCun et al. 1998): handwritten digits. Measured on validation images of the shipped part.",
    FASHION.use,
    ("It knows digits, light on black, in the middle of the picture. Anything else is called a digit too.",),
)


def deployable(model: str, count: int = 1000) -> Deployable:
    """The network `model` in integers: a name of NAMES, the path of a file of `save_program`, or the folder of an artefact of the
    edge project; `count` images to compare on.

    A shipped one is calibrated, and its temperature fitted, on the calibration images of its data; it is compared and measured on
    validation images. A saved one is compared on noise, an artefact on
    photographs of validation images. Raises ValueError or TypeError naming what cannot be deployed, ImportError with
    the pip command for efficientnet_lite0.
    """
    if model not in NAMES and Path(model).is_dir():
        return _of_the_edge_project(Path(model), count)
    if model not in NAMES and (Path(model).exists() or Path(model).suffix):
        return from_program(Path(model).stem, load_program(model), count)
    if model not in NAMES:
        raise ValueError(f"deploy wants a file of save_program, or one of {', '.join(NAMES)}, got {model!r}.")
    return efficientnet_lite0(count) if model == LITE0 else _shipped(model, count)


def _shipped(model: str, count: int) -> Deployable:
    split = load_mnist() if model.startswith("mnist") else load_fashion()
    network = quantize_model(_floats(model), split.calibration.first(300).images, QuantizationConfig(mode="integer"))
    part = split.validation.first(count)
    return Deployable(
        model,
        replace(operations(network), contract=Contract()),
        part.images,
        network,
        part.labels,
        tuple(part.classes),
        fit_temperature(predict(network, split.calibration.images), split.calibration.labels),
        DIGITS if model.startswith("mnist") else FASHION,
    )


def _of_the_edge_project(folder: Path, count: int) -> Deployable:
    """An artefact, on photographs of validation images; its temperature is in its scales."""
    program = replace(program_of(read_artefact(folder)), contract=Contract())
    part = load_fashion().validation
    seen = photographs(part, instance_seed(PUBLIC, PROJECT, 0), min(count, len(part)))
    return Deployable(folder.resolve().name, program, seen.images, None, seen.labels, tuple(part.classes), 1.0, PHOTOGRAPHS)


def _floats(model: str) -> nn.Module:
    if model == PRUNED:
        open_file(FILES / f"{PRUNED}.safetensors").close()  # its checksum
        return load_pruned(FILES / f"{PRUNED}.safetensors", fashion_cnn())
    return load_pretrained(model)
