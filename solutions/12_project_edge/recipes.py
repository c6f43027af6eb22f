"""The three solutions of the edge project, from clean pictures to an artefact: what a hurried, a careful and an excellent team hands in.

Run it in the repository's folder to write all three again, which takes minutes: python solutions/12_project_edge/recipes.py
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from posttrain_lab.calibration import fit_temperature
from posttrain_lab.data import Split, load_fashion
from posttrain_lab.finetuning import distillation_loss
from posttrain_lab.models import load_pretrained
from posttrain_lab.projects.edge import Costs, camera, save_artefact
from posttrain_lab.quantization import QuantizationConfig, convert_qat, prepare_qat, quantize_model
from posttrain_lab.training import Hooks, TrainingConfig, train

HERE = Path(__file__).parent / "artefacts"
PHOTOGRAPHED = 7  # the seed of the calibration part's photographs


def chain(widths: tuple[int, ...], strides: tuple[int, ...], features: int, seed: int = 0) -> nn.Sequential:
    """Convolutions of 3 x 3 with batch norm and ReLU, then one Linear."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after, stride in zip(widths, widths[1:], strides, strict=False):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 10))


def photographed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Other photographs in every epoch."""
    return camera(images, int(torch.randint(2**31, (), generator=generator)))


def by_a_teacher(teacher: nn.Module) -> Hooks:
    """Learn from the labels and from what the teacher says of the same photograph."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = teacher(x)
        return distillation_loss(model(x), wanted, y, temperature=2.0, weight=0.7)

    return Hooks(loss=loss)


def handed_in(network: nn.Module, split: Split, name: str) -> Costs:
    """Fit the temperature of an integer network on photographs of the calibration part, and write its artefact."""
    part = split.calibration
    with torch.no_grad():
        temperature = fit_temperature(network(camera(part.images, PHOTOGRAPHED)), part.labels)
    return save_artefact(network, HERE / name, temperature)  # type: ignore[arg-type]


def naive(split: Split) -> Costs:
    """Trained on the shop's clean pictures; nobody thought of the camera."""
    model = chain((1, 8, 16, 32), (2, 2, 2), 512)
    model, _ = train(model, split.train.images, split.train.labels, TrainingConfig(epochs=5))
    network = quantize_model(model, split.calibration.images[:300], QuantizationConfig(mode="integer"))
    return save_artefact(network, HERE / "naive")  # type: ignore[arg-type]


def good(split: Split) -> Costs:
    """The same network, trained on photographs, its temperature fitted on photographs."""
    model = chain((1, 8, 16, 32), (2, 2, 2), 512)
    model, _ = train(model, split.train.images, split.train.labels, TrainingConfig(epochs=12), photographed)
    seen = camera(split.calibration.images[:300], PHOTOGRAPHED)
    return handed_in(quantize_model(model, seen, QuantizationConfig(mode="integer")), split, "good")


def excellent(split: Split) -> Costs:
    """Twice the weights in 4 bits, taught by a larger network that has learnt the camera, and trained with its rounding."""
    x, y = split.train.images, split.train.labels
    teacher, _ = train(load_pretrained("fashion_cnn"), x, y, TrainingConfig(epochs=4, learning_rate=1e-3), photographed)
    hooks = by_a_teacher(teacher)
    model = chain((1, 16, 24, 32, 24), (2, 1, 2, 2), 384)
    model, _ = train(model, x, y, TrainingConfig(epochs=16), photographed, hooks=hooks)
    rounding = prepare_qat(model, QuantizationConfig(bits=4, mode="integer"), camera(split.calibration.images, PHOTOGRAPHED))
    rounding, _ = train(rounding, x, y, TrainingConfig(epochs=5, learning_rate=1e-3), photographed, hooks=hooks)
    return handed_in(convert_qat(rounding), split, "excellent")  # type: ignore[arg-type]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for recipe in (naive, good, excellent):
        print(recipe.__name__, recipe(load_fashion()), flush=True)
