"""Cases and known mistakes of `freeze`: which parameters are trained, and which batch norms are set to eval mode.

Conventions that the notebook states in the same words: `trainable` contains exact names of `model.named_parameters()`; all other
parameters get `requires_grad = False`, independent of what they had before; `freeze` is called on a network in train mode; a batch norm none of
whose parameters is trainable (also one that has none) is set to eval mode: it uses its stored statistics and does not change them; every other
layer stays in train mode; the result is the number of trainable elements, a plain int.

The adapter sets a copy of the network to train mode, calls the student's function, and runs the network on a batch. Only
observable results are compared: flags, statistics after the batch, and the output. How a batch norm is frozen is free.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw, strided

Freeze = Callable[[nn.Module, list[str]], Any]


@adapter
def frozen(function: Freeze, model: nn.Module, trainable: list[str], images: Tensor) -> dict[str, Any]:
    """The adapter: freeze the network in train mode, run it on images, return the observable results, and restore its tensors."""
    before, was_training = {name: tensor.clone() for name, tensor in model.state_dict().items()}, model.training
    returned = function(model.train(), list(trainable))
    flags = {name: bool(parameter.requires_grad) for name, parameter in model.named_parameters()}
    output = model(images)
    dropout_modes = [layer.training for layer in model.modules() if isinstance(layer, nn.Dropout)]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(before)
    model.training = was_training
    return {"returned": returned, "learns": flags, "output": output, "state": state, "dropout": dropout_modes}


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
        found = difference(first["returned"], second["returned"], 0.0, 0.0)
        return found and f"the number of trainable elements: {found}"

    return judge


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def _flag(model: nn.Module, learns: Callable[[str], bool]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learns(name))


def _set_to_eval(layers: Iterable[nn.Module]) -> None:
    for layer in layers:
        layer.eval()


def _is_frozen(layer: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in layer.parameters())


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def right_freeze(model: nn.Module, trainable: list[str]) -> int:
    _flag(model, lambda name: name in trainable)
    _set_to_eval(layer for layer in _norms(model) if _is_frozen(layer))
    return _count(model)


def _network(draw: Draw, *layers: nn.Module) -> nn.Sequential:
    """A Sequential of these layers with random weights and statistics far from 0 and 1."""
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        parameter.data = draw.normal(*parameter.shape) * 0.5 + 0.2
    for layer in _norms(model):
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


def _wrong(
    learns: Callable[[str, list[str]], bool] = lambda name, trainable: name in trainable,
    set_norms: Callable[[nn.Module], None] = lambda model: _set_to_eval(layer for layer in _norms(model) if _is_frozen(layer)),
    count: Callable[[nn.Module], Any] = _count,
) -> Freeze:
    """The right answer with one part changed."""

    def freeze(model: nn.Module, trainable: list[str]) -> Any:
        _flag(model, lambda name: learns(name, trainable))
        set_norms(model)
        return count(model)

    return freeze


def _on_modules(model: nn.Module, trainable: list[str]) -> int:
    """Sets an attribute of this name on the layers, where it has no effect."""
    layers = {name.rpartition(".")[0] for name in trainable}
    for name, module in model.named_modules():
        if not list(module.children()):
            module.requires_grad = name in layers  # type: ignore[assignment]
            if isinstance(module, nn.BatchNorm2d) and name not in layers:
                module.eval()
    return _count(model)


def _never_made_trainable(model: nn.Module, trainable: list[str]) -> int:
    for name, parameter in model.named_parameters():
        if name not in trainable:
            parameter.requires_grad_(False)
    _set_to_eval(layer for layer in _norms(model) if _is_frozen(layer))
    return _count(model)


def _without_momentum(model: nn.Module) -> None:
    for layer in _norms(model):
        if _is_frozen(layer):
            layer.momentum = 0.0


def _norms_first(model: nn.Module, trainable: list[str]) -> int:
    """Uses the flags of the given network."""
    _set_to_eval(layer for layer in _norms(model) if _is_frozen(layer))
    _flag(model, lambda name: name in trainable)
    return _count(model)


def _untracked(model: nn.Module) -> None:
    for layer in _norms(model):
        if _is_frozen(layer):
            layer.track_running_stats = False


FREEZE_MISTAKES = (
    Mistake(
        "statistics updated",
        "Your frozen batch norms still update running_mean and running_var; requires_grad does not stop that, eval mode does.",
        _wrong(set_norms=lambda model: None),
    ),
    Mistake(
        "requires_grad on modules",
        "You set requires_grad on layers, where it has no effect; set it on parameters (model.named_parameters()).",
        _on_modules,
    ),
    Mistake(
        "the others trained",
        "You froze the parameters that should be trainable, and left the others trainable; it is the other way round.",
        _wrong(lambda name, trainable: name not in trainable),
    ),
    Mistake(
        "never made trainable",
        "You only freeze parameters; the named ones may have been frozen before: set requires_grad to True for them.",
        _never_made_trainable,
    ),
    Mistake(
        "part of a name",
        "You look for a name inside another: 1.weight is part of 11.weight; compare whole names.",
        _wrong(lambda name, trainable: any(one in name for one in trainable)),
    ),
    Mistake(
        "whole layers",
        "You make the whole layer of each name trainable; only the named parameters may be trainable.",
        _wrong(lambda name, trainable: name.rpartition(".")[0] in {one.rpartition(".")[0] for one in trainable}),
    ),
    Mistake(
        "all batch norms in eval mode",
        "You set every batch norm to eval mode; one with a trainable parameter must stay in train mode.",
        _wrong(set_norms=lambda model: _set_to_eval(_norms(model))),
    ),
    Mistake(
        "whole network in eval mode",
        "You set the whole network to eval mode; only frozen batch norms belong there, the rest stays in train mode (dropout too).",
        _wrong(set_norms=lambda model: _set_to_eval([model])),
    ),
    Mistake(
        "momentum 0",
        "With momentum 0 a batch norm still normalizes by the batch; frozen, it must use its stored statistics: eval mode.",
        _wrong(set_norms=_without_momentum),
    ),
    Mistake(
        "not tracked",
        "Without track_running_stats a batch norm normalizes by the batch; frozen, it must use its stored statistics: eval mode.",
        _wrong(set_norms=_untracked),
    ),
    Mistake(
        "half-frozen norms in eval mode",
        "You freeze a batch norm as soon as one of its parameters is frozen; freeze it only when none is trainable.",
        _wrong(
            set_norms=lambda model: _set_to_eval(
                layer
                for layer in _norms(model)
                if _is_frozen(layer) or not all(parameter.requires_grad for parameter in layer.parameters())
            )
        ),
    ),
    Mistake(
        "batch norms checked first",
        "You check the batch norms before you set requires_grad, so you use the old flags; set the flags first.",
        _norms_first,
    ),
    Mistake(
        "tensors counted",
        "You count tensors; count their elements (numel).",
        _wrong(count=lambda model: sum(parameter.requires_grad for parameter in model.parameters())),
    ),
    Mistake(
        "all counted",
        "You count all parameters; count only those that are trainable.",
        _wrong(count=lambda model: sum(parameter.numel() for parameter in model.parameters())),
    ),
)


freeze = Exercise(
    name="freeze",
    unit="03_fine_tuning",
    points=3,
    difficulty=2,
    minutes=14,
    oracle=right_freeze,
    cases=freeze_cases,
    mistakes=FREEZE_MISTAKES,
    judge=freeze_judge(),
    through="finetuning.freeze:frozen",
    library="finetuning:freeze",
)
