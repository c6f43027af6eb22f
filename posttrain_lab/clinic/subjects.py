"""What the patients are made of: parts of the shipped data, small networks, one training loop, and what is measured afterwards.

Everything is drawn from the patient's seed, and everything that may be shown to a learner uses these few names only. What is trained here
takes less than a second, so the networks are small and the clothes have 14 x 14 pixels.
"""

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.calibration import expected_calibration_error
from posttrain_lab.data import few_labels, load_digits, load_fashion, load_mnist
from posttrain_lab.metrics import accuracy, evaluating
from posttrain_lab.models import load_pretrained

MEAN, SPREAD = 0.2861, 0.33  # of the clothes' pixels
HEAD = "9"  # the last layer of `cnn`


class Examples(NamedTuple):
    """Images or features x [n, ...], and their labels y [n]."""

    x: Tensor
    y: Tensor

    def first(self, n: int) -> "Examples":
        """The first n; the order is random already."""
        return Examples(self.x[:n], self.y[:n])


class Subject(NamedTuple):
    """A network, the losses of its epochs, and three disjoint parts: those it was trained on, and two that it has not seen."""

    model: nn.Sequential
    log: list[float]
    train: Examples
    new: Examples
    test: Examples


def seeded(seed: int) -> torch.Generator:
    """A generator of random numbers that begins at this seed."""
    return torch.Generator().manual_seed(seed)


@functools.cache
def _clothes() -> Examples:
    split = load_fashion()
    parts = (split.train, split.calibration, split.validation, split.test)
    return Examples(F.avg_pool2d(torch.cat([p.images for p in parts]), 2), torch.cat([p.labels for p in parts]))


def clothes(seed: int, *sizes: int) -> list[Examples]:
    """Disjoint random parts of 20,000 clothes of 14 x 14 pixels, standardized; one part for each size."""
    x, y = _clothes()
    order = torch.randperm(len(y), generator=seeded(1000 + seed))[: sum(sizes)]
    return [Examples((x[index] - MEAN) / SPREAD, y[index]) for index in order.split(list(sizes))]


@functools.cache
def _photographs() -> Examples:
    test = load_fashion().test
    return Examples(test.images, test.labels)


def photographs(seed: int, count: int) -> Examples:
    """Test images of the shipped networks, 28 x 28 pixels in [0, 1]: this many of 10,000."""
    index = torch.randperm(len(_photographs().y), generator=seeded(seed))[:count]
    return Examples(_photographs().x[index], _photographs().y[index])


def digits(seed: int, count: int = 100) -> tuple[nn.Sequential, Examples, Examples]:
    """The shipped `mnist_cnn`, a few labelled digits from another scanner, and 597 more of them to test on."""
    new = load_digits(seed)
    few = few_labels(new.train, count, seed)
    return load_pretrained("mnist_cnn"), Examples(few.images, few.labels), Examples(new.test.images, new.test.labels)


def two_sources(seed: int) -> tuple[Examples, Examples, Examples, Examples]:
    """Digits of two scanners at 14 x 14: 2,000 of MNIST and 400 of UCI to train on, then the test images of both."""
    old, new = load_mnist(seed), load_digits(seed)
    parts = (old.train.first(2000), new.train.first(400), old.test, new.test)
    first, second, *tests = (Examples(F.avg_pool2d(part.images, 2), part.labels) for part in parts)
    return first, second, tests[0], tests[1]


def drawn(make: Callable[[], nn.Sequential], seed: int) -> nn.Sequential:
    """A network whose weights are drawn with this seed; torch's own random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def cnn() -> nn.Sequential:
    """Two blocks of convolution, batch norm, ReLU and pooling (layers 0 to 7), then Flatten and the head (layer 9)."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(144, 10))


def mlp(norm: bool = True) -> nn.Sequential:
    """Two linear layers, with a batch norm between them if wanted."""
    middle: list[nn.Module] = [nn.BatchNorm1d(64)] if norm else []
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 64), *middle, nn.ReLU(), nn.Linear(64, 10))


def optimizer_of(model: nn.Module, lr: float = 5e-3, decay: float = 0.01) -> torch.optim.Optimizer:
    """AdamW over the parameters that are to learn."""
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=decay)


def fit(
    model: nn.Module,
    part: Examples,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    seed: int = 0,
    *,
    batch: int = 50,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    step: Callable[[], object] | None = None,
    end: Callable[[], object] | None = None,
) -> list[float]:
    """Train in the mode that the model is in; gives the mean loss of each epoch. step() is the optimizer's, end() follows an epoch."""
    generator, log = seeded(seed), []
    for _ in range(epochs):
        total = 0.0
        for index in torch.randperm(len(part.y), generator=generator).split(batch):
            value = loss(model(part.x[index]), part.y[index])
            optimizer.zero_grad()
            value.backward()
            (step or optimizer.step)()
            total += value.item() * len(index)
        log.append(total / len(part.y))
        if end:
            end()
    return log


@functools.lru_cache(maxsize=12)
def _trained(seed: int) -> Subject:
    train, new, test = clothes(seed, 3000, 1000, 2000)
    model = drawn(cnn, seed)
    log = fit(model, train, optimizer_of(model), epochs=4, seed=seed)
    return Subject(model.eval(), log, train, new, test)


def trained(seed: int) -> Subject:
    """A `cnn` trained on 3,000 clothes of its own, in eval mode; 1,000 and 2,000 that it has not seen."""
    kept = _trained(seed)
    return kept._replace(model=copy.deepcopy(kept.model), log=list(kept.log))


def answers(model: Callable[[Tensor], Tensor], x: Tensor, batch: int = 500) -> Tensor:
    """The logits, in batches of this size, in the mode that the model is in."""
    with torch.no_grad():
        return torch.cat([model(part) for part in x.split(batch)])


def hits(model: nn.Module, part: Examples) -> float:
    """The accuracy in eval mode; the model's own mode stays."""
    with evaluating(model):
        return accuracy(answers(model, part.x), part.y)


def worst_class(model: nn.Module, part: Examples) -> float:
    """The share of right answers of the class that is right least often, in eval mode."""
    with evaluating(model):
        right = answers(model, part.x).argmax(1) == part.y
    return min(right[part.y == label].double().mean().item() for label in part.y.unique())


def ece(logits: Tensor, labels: Tensor) -> float:
    """The expected calibration error of the predicted class."""
    confidence, predicted = logits.double().softmax(1).max(1)
    return expected_calibration_error(confidence, predicted == labels)


def state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def weight(model: nn.Module, layer: str) -> nn.Parameter:
    """The weight of the layer of this name."""
    return model.get_parameter(f"{layer}.weight")


def badly_lit(part: Examples) -> Examples:
    """The same clothes under another lamp: less contrast, brighter."""
    return Examples(0.5 * part.x + 0.6, part.y)


def turned(part: Examples) -> Examples:
    """The same clothes, turned by a quarter."""
    return Examples(part.x.rot90(1, (2, 3)), part.y)
