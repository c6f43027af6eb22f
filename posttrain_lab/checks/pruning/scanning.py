"""Cases and known mistakes of `sensitivity_scan`: prune one layer alone, look at the validation images, put the weights back.

Conventions that the notebook states in the same words: every nn.Linear and nn.Conv2d of the model, by its name in named_modules();
for each the accuracy in eval mode at each sparsity, in the order given; the model comes back as it was, each weight, buffer and mode.

The student's function gets a network and a `Split`; as a Split cannot travel, `on_split` builds it on the student's side and returns the
curves together with the state and the modes of the network, for the trusted side to compare. The parts of the split share no labels, so
the wrong part shows. Of many images only those are used whose largest logit stays clear of the second in every pruning.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.draw import Draw
from posttrain_lab.checks.exercise import Case, Mistake
from posttrain_lab.checks.pruning.magnitude import right_magnitude
from posttrain_lab.checks.pruning.numbers import clear_sparsity
from posttrain_lab.data import Dataset, Split

Scan = Callable[[nn.Module, Split, list[float]], Any]
LAYERS = (nn.Linear, nn.Conv2d)
PARTS = ("train", "calibration", "validation", "test")
CLASSES, SIDE, MARGIN = 4, 6, 1e-3


def on_split(
    function: Scan, model: nn.Module, parts: dict[str, tuple[Tensor, Tensor]], sparsities: list[float]
) -> tuple[Any, ...]:
    """What the function returns on this model and split, and how it leaves the model: its tensors and each module's mode."""
    names = tuple(f"class {number}" for number in range(CLASSES))
    split = Split("drawn", **{part: Dataset(*parts[part], names) for part in PARTS})
    curves = function(model, split, list(sparsities))
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return curves, state, [module.training for module in model.modules()]


def _layers(model: nn.Module, kinds: tuple[type[nn.Module], ...] = LAYERS) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, kinds))


@torch.no_grad()
def _accuracy(model: nn.Module, data: Dataset) -> float:
    return int((model(data.images).argmax(1) == data.labels).sum()) / len(data)


@contextmanager
def _pruned(
    twin: nn.Module, names: Iterable[str], sparsity: float, mask: Callable[[Tensor, float], Tensor]
) -> Iterator[nn.Module]:
    """Inside the block these layers of a copy are pruned."""
    layers: list[Any] = [twin.get_submodule(name) for name in names]
    kept = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = layer.weight.data * mask(layer.weight.data, sparsity)
    yield twin
    for layer, weight in zip(layers, kept, strict=True):
        layer.weight.data = weight


def _scan(
    part: str = "validation",
    kinds: tuple[type[nn.Module], ...] = LAYERS,
    chosen: Callable[[list[str], str], list[str]] = lambda names, name: [name],
    mask: Callable[[Tensor, float], Tensor] = right_magnitude,
    value: Callable[[float], Any] = float,
    order: Callable[[list[float]], list[float]] = list,
    mode: Callable[[nn.Module], nn.Module] = nn.Module.eval,
    after: Callable[[nn.Module, list[float]], Any] = lambda model, sparsities: None,
) -> Scan:
    """The right answer with one thing changed; `after` is what is left undone on the model itself."""

    def sensitivity_scan(model: nn.Module, split: Split, sparsities: list[float]) -> Any:
        names, data, twin = [name for name, _ in _layers(model, kinds)], getattr(split, part), mode(copy.deepcopy(model))
        curves: dict[str, list[Any]] = {name: [] for name in names}
        for name in names:
            for sparsity in order(sparsities):
                with _pruned(twin, chosen(names, name), sparsity, mask):
                    curves[name].append(value(_accuracy(twin, data)))
        after(model, sparsities)
        return curves

    return sensitivity_scan


right_scan = _scan()


def _plain(draw: Draw) -> nn.Sequential:
    width = draw.whole(9, 12)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, width), nn.ReLU(), nn.Linear(width, CLASSES))


def _convolutions(draw: Draw) -> nn.Sequential:
    a, b = draw.whole(4, 6), draw.whole(7, 9)
    block = nn.Sequential(nn.Conv2d(1, a, 3, padding=1, bias=False), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(block, nn.Conv2d(a, b, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(b * 4, CLASSES))


def _drawn(draw: Draw, model: nn.Sequential) -> nn.Sequential:
    """The network with drawn weights and statistics."""
    for module in model.modules():
        if isinstance(module, LAYERS):
            fan = module.weight[0].numel()
            module.weight.data = draw.normal(*module.weight.shape, std=2 / fan**0.5)
            if module.bias is not None:
                module.bias.data = draw.normal(len(module.bias), std=0.5)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data, module.bias.data = (draw.uniform(0.5, 2.0, module.num_features) for _ in range(2))
            module.running_mean, module.running_var = (
                draw.normal(module.num_features),
                draw.uniform(0.1, 0.6, module.num_features),
            )
    return model


def _parts(draw: Draw, model: nn.Sequential, sparsities: list[float]) -> dict[str, tuple[Tensor, Tensor]]:
    """Images on which no pruning is in doubt; each part has other labels and another number of images."""
    images = draw.normal(220, 1, SIDE, SIDE)
    names = [name for name, _ in _layers(model)]
    clear = torch.ones(len(images), dtype=torch.bool)
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        for chosen in [[], names, *([name] for name in names)]:
            for sparsity in sparsities:
                with _pruned(twin, chosen, sparsity, right_magnitude):
                    top = twin(images).topk(2).values
                    clear &= top[:, 0] - top[:, 1] > MARGIN
        images = images[clear]
        said = twin(images).argmax(1)
    shifts = dict(zip(PARTS, draw.shuffled(range(CLASSES)), strict=True))
    shifts = {part: (shift - shifts["validation"]) % CLASSES for part, shift in shifts.items()}
    sizes = {"train": 31, "calibration": 29, "validation": draw.whole(40, 47), "test": draw.whole(48, 55)}
    found, start = {}, 0
    for part in PARTS:
        index = slice(start, start + sizes[part])
        odd = draw.uniform(0, 1, sizes[part]) < 0.2
        found[part] = (images[index], (said[index] + shifts[part] + odd) % CLASSES)
        start += sizes[part]
    assert start <= len(images)
    return found


def scan_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "sensitivity_scan")
    cases = []
    for words, kind, mode in (
        ("two linear layers", _plain, "eval"),
        ("convolutions in a block, batch norm and dropout", _convolutions, "eval"),
        ("a network in training mode", _convolutions, "train"),
        ("in training mode, but for a frozen batch norm", _convolutions, "mixed"),
    ):
        with torch.random.fork_rng(devices=[]):
            model = _drawn(draw, kind(draw)).train(mode != "eval")
        if mode == "mixed":
            model[0][1].eval()  # type: ignore[index]
        counts = [layer.weight.numel() for _, layer in _layers(model)]
        sparsities = [clear_sparsity(draw, counts, 0.85, 0.95), 0.0, clear_sparsity(draw, counts, 0.6, 0.75)]
        cases.append(Case(words, (model, _parts(draw, model, sparsities), sparsities)))
    return cases


def _cumulative(model: nn.Module, split: Split, sparsities: list[float]) -> dict[str, list[float]]:
    """Each sparsity prunes what the one before has left; the next layer starts from whole weights."""
    curves: dict[str, list[float]] = {}
    for name, _ in _layers(model):
        twin, curves[name] = copy.deepcopy(model).eval(), []
        layer: Any = twin.get_submodule(name)
        for sparsity in sparsities:
            layer.weight.data.mul_(right_magnitude(layer.weight.data, sparsity))
            curves[name].append(_accuracy(twin, split.validation))
    return curves


def _kept_without_clone(model: nn.Module, split: Split, sparsities: list[float]) -> dict[str, list[float]]:
    """What is kept is the same memory as what is pruned."""
    twin = copy.deepcopy(model).eval()
    curves: dict[str, list[float]] = {name: [] for name, _ in _layers(twin)}
    for name, layer in _layers(twin):
        for sparsity in sparsities:
            layer.weight.data.mul_(right_magnitude(layer.weight.data, sparsity))
            curves[name].append(_accuracy(twin, split.validation))
    return curves


def _left_pruned(model: nn.Module, sparsities: list[float]) -> None:
    for _, layer in _layers(model):
        layer.weight.data.mul_(right_magnitude(layer.weight.data, sparsities[-1]))


def _before_stay(model: nn.Module, split: Split, sparsities: list[float]) -> dict[str, list[float]]:
    """Layers before this one stay at the last sparsity."""
    curves, names, twin = {}, [name for name, _ in _layers(model)], copy.deepcopy(model).eval()
    for name in names:
        with _pruned(twin, names[: names.index(name)], sparsities[-1], right_magnitude):
            curves[name] = _scan(kinds=LAYERS)(twin, split, sparsities)[name]
    return curves


SCAN_MISTAKES = (
    Mistake(
        "test images",
        "You look at the test images; this scan will decide something, so it must use split.validation.",
        _scan("test"),
    ),
    Mistake(
        "training images", "You look at the training images, which the network has learned; use split.validation.", _scan("train")
    ),
    Mistake(
        "calibration images", "You look at the calibration images; choices are made on split.validation.", _scan("calibration")
    ),
    Mistake(
        "all layers at once",
        "You prune all layers at the same time; one layer alone is pruned, all others stay whole.",
        _scan(chosen=lambda names, name: names),
    ),
    Mistake(
        "layers before stay pruned",
        "The layers before stay pruned while you scan the next one; put each layer's weights back first.",
        _before_stay,
    ),
    Mistake(
        "sparsities on top of each other",
        "Each sparsity prunes what the one before has left; start from the whole weights every time.",
        _cumulative,
    ),
    Mistake(
        "kept without a copy",
        "What you keep is the same memory as what you prune, so nothing is put back; clone() the weight before you change it.",
        _kept_without_clone,
    ),
    Mistake(
        "not put back",
        "Your curves are right, but the model is left pruned; put the weights back, or work on a copy.",
        _scan(after=_left_pruned),
    ),
    Mistake(
        "left in eval mode",
        "Your curves are right, but the model is left in eval mode; each module must have the mode that it came with.",
        _scan(after=lambda model, sparsities: model.eval()),
    ),
    Mistake(
        "all modes from the root",
        "model.train(mode) sets all modules alike; a frozen batch norm inside must keep its own mode: work on a copy.",
        _scan(after=lambda model, sparsities: model.train(model.training)),
    ),
    Mistake(
        "training mode",
        "You measure in training mode, where batch norm and dropout act differently; call eval() on your copy.",
        _scan(mode=nn.Module.train),
    ),
    Mistake(
        "mode as it came",
        "You measure in the mode that the model came in; accuracy is measured in eval mode.",
        _scan(mode=lambda model: model),
    ),
    Mistake("convolutions only", "Linear layers are missing; scan every nn.Linear and nn.Conv2d.", _scan(kinds=(nn.Conv2d,))),
    Mistake("linear layers only", "Convolutions are missing; scan every nn.Linear and nn.Conv2d.", _scan(kinds=(nn.Linear,))),
    Mistake(
        "batch norm too",
        "You scan batch norms too; only nn.Linear and nn.Conv2d hold weights that are pruned here.",
        _scan(kinds=(*LAYERS, nn.BatchNorm2d)),
    ),
    Mistake(
        "largest removed",
        "You remove the largest weights; prune by magnitude_mask, which keeps them.",
        _scan(mask=lambda weight, sparsity: ~right_magnitude(weight, 1 - sparsity)),
    ),
    Mistake(
        "mask inverted",
        "You keep what the mask removes; multiply the weight by the mask, which is True where it stays.",
        _scan(mask=lambda weight, sparsity: ~right_magnitude(weight, sparsity)),
    ),
    Mistake("errors", "You return the share of wrong answers; the accuracy is wanted.", _scan(value=lambda a: 1 - a)),
    Mistake("percent", "You return percent; an accuracy lies between 0 and 1.", _scan(value=lambda a: 100 * a)),
    Mistake("sorted", "You sort the sparsities; answer in the order in which they came.", _scan(order=sorted)),
    Mistake(
        "loss of accuracy",
        "You return how much accuracy is lost against the first sparsity; the accuracy itself is wanted.",
        lambda model, split, sparsities: {
            name: [curve[0] - value for value in curve] for name, curve in right_scan(model, split, sparsities).items()
        },
    ),
)
