"""The small compressed networks that `recover` is checked on, their data, and the reference that trains them further.

Four classes of two clusters each in 16 dimensions; 24 hidden units. The initial weights are small and the pixels large, so that few
steps of Adam are enough.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.data.split import Dataset, Split

Network = TypeVar("Network", bound=nn.Module)


Masks = dict[str, Tensor]


Pair = tuple[Tensor, Tensor]


PARTS = ("train", "validation", "test", "calibration")


CLASSES, SIDE, HIDDEN, TRAIN, VALIDATION = 4, 4, 24, 192, 300


SMALL = (
    6.0  # the initial weights are divided by its square, and the pixels multiplied by it: few steps are enough, of Adam or of SGD
)


STEP = 1.2 / SMALL  # of the coarse grid


REFERENCE = 0.15  # recovered accuracy at least, as a fraction


class OnGrid(nn.Module):
    """A weight as the nearest points of a grid with this step; the gradient is straight-through."""

    def __init__(self, step: float):
        super().__init__()
        self.step = step

    def forward(self, weight: Tensor) -> Tensor:
        rounded = (weight / self.step).round() * self.step
        return weight + (rounded - weight).detach()


def marked(images: Tensor, labels: Tensor, part: str) -> Dataset:
    images = images.clone()
    images[:, :, -1, -1] = PARTS.index(part) / 1000
    return Dataset(images, labels, tuple(f"class {c}" for c in range(CLASSES)))


@torch.no_grad()
def accuracy(network: nn.Module, data: Dataset) -> float:
    was = network.training
    hits = (network.eval()(data.images).argmax(1) == data.labels).double().mean().item()
    network.train(was)
    return hits


def trained(
    model: Network,
    data: Dataset,
    epochs: int,
    after: Callable[[nn.Module], None] = lambda network: None,
    sign: float = 1.0,
    rate: float = 2e-3,
    clear: bool = True,
) -> Network:
    """Adam in small batches; `after` is called after every step. Without `clear` the gradients add up."""
    network = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    order = torch.Generator().manual_seed(1)
    for _ in range(epochs):
        for index in torch.randperm(len(data), generator=order).split(64):
            if clear:
                optimizer.zero_grad()
            (sign * F.cross_entropy(network(data.images[index]), data.labels[index])).backward()
            optimizer.step()
            after(network)
    return network.eval()


@torch.no_grad()
def apply(network: nn.Module, masks: Masks) -> None:
    for name, mask in masks.items():
        network.get_parameter(name).mul_(mask)


def right_recover(model: nn.Module, masks: Masks, split: Split, epochs: int) -> nn.Module:
    return trained(model, split.train, epochs, lambda network: apply(network, masks))


@lru_cache(maxsize=64)
def compressed(seed: int, sparsity: float, step: float) -> tuple[nn.Sequential, Masks, Pair, Pair]:
    """A trained network, pruned by magnitude or about to be rounded, that has lost accuracy and recovers at least REFERENCE in 4 epochs."""
    draw = Draw(seed, f"{sparsity} {step}")
    while True:
        model, train, validation = _learned(draw)
        masks = {} if step else _masks(model, sparsity)
        apply(model, masks)
        rounded, held = copy.deepcopy(model), marked(*validation, "validation")
        if step:
            parametrize.register_parametrization(rounded[1], "weight", OnGrid(step))
        split = Split("tiny", marked(*train, "train"), held, held, held)
        if accuracy(rounded, held) < 0.8 and accuracy(right_recover(rounded, masks, split, 4), held) >= REFERENCE + accuracy(
            rounded, held
        ):
            return model, masks, train, validation


def _learned(draw: Draw) -> tuple[nn.Sequential, Pair, Pair]:
    """A trained network for four classes of two clusters each; initial weights small, pixels large."""
    centres = 0.9 * draw.normal(CLASSES, 2, SIDE * SIDE)
    (images, labels), (others, their_labels) = _images(draw, centres, TRAIN), _images(draw, centres, VALIDATION)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw.whole(0, 10**6))
        model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    model = trained(model, marked(images, labels, "train"), 10, rate=2e-2)
    with torch.no_grad():
        for name, factor in (("1.weight", 1 / SMALL), ("1.bias", SMALL), ("3.weight", 1 / SMALL)):
            model.get_parameter(name).mul_(factor)
    return model, (images * SMALL**2, labels), (others * SMALL**2, their_labels)


def _images(draw: Draw, centres: Tensor, n: int) -> Pair:
    """Two clusters for each class."""
    labels, which = draw.codes(0, CLASSES - 1, n).long(), draw.codes(0, 1, n).long()
    return (centres[labels, which] + 0.5 * draw.normal(n, SIDE * SIDE)).reshape(n, 1, SIDE, SIDE), labels


def _masks(model: nn.Sequential, sparsity: float) -> Masks:
    """True for the largest weights of each layer."""
    masks = {}
    for name in ("1.weight", "3.weight"):
        size = model.get_parameter(name).detach().abs()
        masks[name] = size > size.flatten().kthvalue(round(sparsity * size.numel())).values
    return masks
