"""Cases and known mistakes of `freeze`: which parameters are trained, and which batch norms are set to eval mode.

Conventions that the notebook states in the same words: `trainable` contains exact names of `model.named_parameters()`; all other
parameters get `requires_grad = False`, independent of what they had before; `freeze` is called on a network in train mode; a batch norm none of
whose parameters is trainable (also one that has none) is set to eval mode: it uses its stored statistics and does not change them; every other
layer stays in train mode, and no other setting of a layer changes (`train` is not overwritten either); the result is the number of
trainable elements, a plain int.

The adapter sets a copy of the network to train mode, calls the student's function, and runs the network on a batch. Compared are
flags, settings of the layers, statistics after the batch, and the output.
"""

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.finetuning.freeze_mistakes import FREEZE_MISTAKES, Freeze
from posttrain_lab.checks.finetuning.freeze_oracle import norms_of, right_freeze
from posttrain_lab.models import digits_cnn


@adapter
def frozen(function: Freeze, model: nn.Module, trainable: list[str], images: Tensor) -> dict[str, Any]:
    """The adapter: freeze the network in train mode, run it on images, return the observable results, and restore its tensors."""
    before, was_training = {name: tensor.clone() for name, tensor in model.state_dict().items()}, model.training
    returned = function(model.train(), list(trainable))
    flags = {name: bool(parameter.requires_grad) for name, parameter in model.named_parameters()}
    settings = _settings(model)
    output = model(images)
    dropout_modes = [layer.training for layer in model.modules() if isinstance(layer, nn.Dropout)]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(before)
    model.training = was_training
    return {
        "returned": returned,
        "learns": flags,
        "output": output,
        "state": state,
        "dropout": dropout_modes,
        "settings": settings,
    }


def _settings(model: nn.Module) -> dict[str, str]:
    """The plain attributes of all layers but their modes: sizes, momentum, affine."""
    return {
        f"{key} of layer {name}": str(value)
        for name, layer in model.named_modules()
        for key, value in vars(layer).items()
        if isinstance(value, int | float | str | tuple) and key != "training"
    }


def freeze_judge() -> Judge:
    """Flags and the count must be equal; statistics and output within the rounding of float32 in any order (1e-4)."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        first, second = want.value, got.value
        for name in first["learns"]:
            if first["learns"][name] != second["learns"].get(name):
                should = "must be trainable" if first["learns"][name] else "must not be trainable"
                return f"the parameter {name} {should} (requires_grad)."
        for name, tensor in first["state"].items():
            if found := difference(tensor, second["state"].get(name), 1e-4, 1e-5):
                return f"after a batch in train mode, {name}: {found}"
        if found := difference(first["output"], second["output"], 1e-4, 1e-5):
            return f"the output of a batch in train mode: {found}"
        if first["dropout"] != second["dropout"]:
            return "a dropout layer is no longer in train mode; only frozen batch norms change their mode."
        for what, value in first["settings"].items():
            if second["settings"].get(what) != value:
                return f"{what} was changed; change the mode of a frozen batch norm only (eval)."
        found = difference(first["returned"], second["returned"], 0.0, 0.0)
        return found and f"the number of trainable elements: {found}"

    return judge


def _network(draw: Draw, *layers: nn.Module) -> nn.Sequential:
    """A Sequential of these layers with random weights and statistics far from 0 and 1."""
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        parameter.data = draw.normal(*parameter.shape) * 0.5 + 0.2
    for layer in norms_of(model):
        n = layer.num_features
        layer.running_mean, layer.running_var = draw.normal(n) + 1.5, draw.uniform(0.3, 4.0, n)
        layer.num_batches_tracked = torch.tensor(draw.whole(5, 60))
    return model


def _deep(draw: Draw) -> nn.Sequential:
    """Twelve layers: the name 1.weight is part of 11.weight, and 1 the beginning of 10."""
    a, b = draw.whole(2, 3), draw.whole(4, 5)
    blocks: list[nn.Module] = []
    for inputs, outputs in ((1, a), (a, b), (b, a)):
        blocks += [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return _network(draw, *blocks, nn.Flatten(), nn.Linear(4 * a, b), nn.Linear(b, 3))


def _nested(draw: Draw) -> nn.Sequential:
    width = draw.whole(2, 4)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(2, width, 2, bias=False), norm=nn.BatchNorm2d(width), drop=nn.Dropout(0.0)
    )
    return _network(draw, nn.Sequential(layers), nn.Flatten(), nn.Linear(width, 3))


def freeze_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "freeze")
    with torch.random.fork_rng(devices=[]):
        deep, nested = _deep(draw), _nested(draw)
        norms = ["1.weight", "1.bias", "4.weight", "4.bias", "7.weight", "7.bias"]
        bare = _network(
            draw, nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, affine=False), nn.Dropout(0.0), nn.Flatten(), nn.Linear(12, 2)
        )
        closed = copy.deepcopy(deep).requires_grad_(False)
    x, small = draw.normal(draw.whole(4, 7), 1, 2, 2), draw.normal(5, 2, 2, 2)
    everything = [name for name, _ in deep.named_parameters()]
    return [
        Case("some parameters of a network that was frozen before", (closed, ["0.weight", "1.weight", "7.bias"], x)),
        Case("the last layer only", (deep, ["11.weight", "11.bias"], x)),
        Case("one batch norm and the head", (deep, ["4.weight", "4.bias", "11.weight"], strided(x))),
        Case("a name that is part of another", (deep, ["1.weight"], x)),
        Case("all batch norms", (deep, norms, x)),
        Case("a batch norm's bias alone", (deep, ["7.bias"], x)),
        Case("layers inside a layer, with dropout", (nested, ["0.conv.weight", "2.bias"], small)),
        Case("no parameters", (nested, [], small)),
        Case("all parameters", (deep, everything, x)),
        Case("a batch norm without parameters", (bare, ["4.weight", "4.bias"], x)),
    ]


def _deeply_nested(draw: Draw) -> nn.Sequential:
    """Batch norms five layers deep, and other norms, which stay in train mode."""
    width = draw.whole(2, 4)
    inner = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.LayerNorm(2))
    for _ in range(3):
        inner = nn.Sequential(inner, nn.BatchNorm2d(width))
    return _network(draw, nn.Conv2d(1, width, 1), inner, nn.Dropout(0.0), nn.Flatten(), nn.Linear(4 * width, 3))


def freeze_workload(seed: int) -> list[Case]:
    """A batch of 25 images of the notebook's size for its network, and a network whose layers are deep inside others."""
    draw = Draw(seed, "workload of freeze")
    with torch.random.fork_rng(devices=[]):
        network, nested = _network(draw, *digits_cnn()), _deeply_nested(draw)
    images, small = draw.normal(25, 1, 28, 28), draw.normal(6, 1, 2, 2)
    norms = [f"{place}.{kind}" for place in (1, 5, 9) for kind in ("weight", "bias")]
    return [
        Case("the notebook's network, its last layer", (network, ["15.weight", "15.bias"], images)),
        Case("the notebook's network, two of its norms", (network, draw.shuffled(norms)[:3], images)),
        Case("batch norms deep inside", (nested, ["1.0.1.weight", "4.weight"], small)),
        Case("batch norms deep inside, one of them trained", (nested, ["1.0.0.0.1.bias"], small)),
    ]


freeze = Exercise(
    name="freeze",
    unit="03_fine_tuning",
    points=3,
    difficulty=2,
    minutes=14,
    oracle=right_freeze,
    cases=freeze_cases,
    workload=freeze_workload,
    mistakes=FREEZE_MISTAKES,
    judge=freeze_judge(),
    through="finetuning.freeze:frozen",
    library="finetuning:freeze",
)
