"""Cases and known mistakes of `sensitivity_scan`: prune one layer alone, measure on the validation images, restore the weights.

Conventions that the notebook states in the same words: every nn.Linear and nn.Conv2d of the model, by its name in named_modules();
for each the accuracy in eval mode at each sparsity, in the order given; the model is not changed, no weight, buffer or mode.

The student's function gets a network and a `Split`; as a Split cannot be sent, `on_split` builds it in the student's process and returns
the curves together with the state and the modes of the network, which the trusted process compares. The parts of the split have no label
in common, so the wrong part is noticed. Only images are used whose largest logit is clearly above the second in every pruned network.
The workload has as many validation images as the notebook; their number is prime and wrong answers become more frequent towards the
end, so that no part of them and no mean over batches has the same accuracy.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.pruning.magnitude_mask import right_magnitude
from posttrain_lab.checks.pruning.sensitivity_scan_mistakes import SCAN_MISTAKES
from posttrain_lab.checks.pruning.sensitivity_scan_oracle import LAYERS, Scan, prunable_layers, pruned, right_scan
from posttrain_lab.checks.pruning.separated_weights import clear_sparsity
from posttrain_lab.data import Dataset, Split

PARTS = ("train", "calibration", "validation", "test")


CLASSES, SIDE, MARGIN = 4, 6, 1e-3
PRIMES = (1999, 2003, 2011, 2017)


@adapter
def on_split(
    function: Scan, model: nn.Module, parts: dict[str, tuple[Tensor, Tensor]], sparsities: list[float]
) -> tuple[Any, ...]:
    """What the function returns on this model and split, and how it leaves the model: its tensors and each module's mode."""
    names = tuple(f"class {number}" for number in range(CLASSES))
    split = Split("drawn", **{part: Dataset(*parts[part], names) for part in PARTS})
    curves = function(model, split, list(sparsities))
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return curves, state, [module.training for module in model.modules()]


def _plain(draw: Draw) -> nn.Sequential:
    width = draw.whole(9, 12)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, width), nn.ReLU(), nn.Linear(width, CLASSES))


def _convolutions(draw: Draw) -> nn.Sequential:
    a, b = draw.whole(4, 6), draw.whole(7, 9)
    block = nn.Sequential(nn.Conv2d(1, a, 3, padding=1, bias=False), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(block, nn.Conv2d(a, b, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(b * 4, CLASSES))


def _drawn(draw: Draw, model: nn.Sequential) -> nn.Sequential:
    """The network with random weights and statistics."""
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


def _parts(draw: Draw, model: nn.Sequential, sparsities: list[float], validation: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Images whose class is clear in every pruned network; each part has other labels and another number of images."""
    images = draw.normal(173 + validation * 11 // 10, 1, SIDE, SIDE)
    names = [name for name, _ in prunable_layers(model)]
    clear = torch.ones(len(images), dtype=torch.bool)
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        for chosen in [[], names, *([name] for name in names)]:
            for sparsity in sparsities:
                with pruned(twin, chosen, sparsity, right_magnitude):
                    top = twin(images).topk(2).values
                    clear &= top[:, 0] - top[:, 1] > MARGIN
        images = images[clear]
        said = twin(images).argmax(1)
    shifts = dict(zip(PARTS, draw.shuffled(range(CLASSES)), strict=True))
    shifts = {part: (shift - shifts["validation"]) % CLASSES for part, shift in shifts.items()}
    sizes = {"train": 31, "calibration": 29, "validation": validation, "test": draw.whole(48, 55)}
    found, start = {}, 0
    for part in PARTS:
        index = slice(start, start + sizes[part])
        odd = draw.uniform(0, 1, sizes[part]) < torch.linspace(0.1, 0.4, sizes[part])
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
        counts = [layer.weight.numel() for _, layer in prunable_layers(model)]
        sparsities = [clear_sparsity(draw, counts, 0.85, 0.95), 0.0, clear_sparsity(draw, counts, 0.6, 0.75)]
        cases.append(Case(words, (model, _parts(draw, model, sparsities, draw.whole(40, 47)), sparsities)))
    return cases


def scan_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "scan workload")
    while True:
        with torch.random.fork_rng(devices=[]):
            model = _drawn(draw, nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 100), nn.ReLU(), nn.Linear(100, CLASSES)))
        fine = clear_sparsity(draw, [3600, 400], 0.985, 0.997)
        parts = _parts(draw, model, [0.5, fine, round(fine, 3)], draw.pick(PRIMES))
        exact, rounded = on_split(right_scan, model, parts, [fine, round(fine, 3)])[0]["1"]
        if exact != rounded:
            return [Case("as many validation images as in the notebook", (model, parts, [0.5, fine, 0.5]))]


# an accuracy is a count over a count
sensitivity_scan = Exercise(
    name="sensitivity_scan",
    unit="01_pruning",
    points=3,
    difficulty=3,
    minutes=15,
    oracle=right_scan,
    cases=scan_cases,
    mistakes=SCAN_MISTAKES,
    judge=close(1e-06, 1e-06),
    workload=scan_workload,
    through="pruning.sensitivity_scan:on_split",
    library="pruning:sensitivity_scan",
)
