"""Cases and known mistakes of `freeze`: which parameters learn, and what becomes of batch norms that do not.

Conventions that the notebook states in the same words: `trainable` holds exact names of `model.named_parameters()`; all other
parameters get `requires_grad = False`, whatever they had before; `freeze` is called on a network in train mode; a batch norm none of
whose parameters is trainable (also one that has none) goes to eval mode: it uses its stored statistics and leaves them as they are; every other
layer stays in train mode; returned is the number of trainable numbers, a plain int.

The adapter puts a copy of the network into train mode, calls the student's function, and sends a batch through. What is compared is
what can be seen from outside: flags, statistics before and after, and the output. How a batch norm is kept still is free.
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
    """The adapter: freeze the network in train mode, send images through it, tell what can be seen, and put its numbers back."""
    before, was_training = {name: tensor.clone() for name, tensor in model.state_dict().items()}, model.training
    returned = function(model.train(), list(trainable))
    flags = {name: bool(parameter.requires_grad) for name, parameter in model.named_parameters()}
    output = model(images)
    awake = [layer.training for layer in model.modules() if isinstance(layer, nn.Dropout)]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(before)
    model.training = was_training
    return {"returned": returned, "learns": flags, "output": output, "state": state, "dropout": awake}


def freeze_judge() -> Judge:
    """Flags and the number are equal; statistics and output agree within what float32 in any order gives (1e-4)."""

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
        return found and f"the number of trainable numbers: {found}"

    return judge


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def _flag(model: nn.Module, learns: Callable[[str], bool]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learns(name))


def _still(layers: Iterable[nn.Module]) -> None:
    for layer in layers:
        layer.eval()


def _is_frozen(layer: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in layer.parameters())


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def right_freeze(model: nn.Module, trainable: list[str]) -> int:
    _flag(model, lambda name: name in trainable)
    _still(layer for layer in _norms(model) if _is_frozen(layer))
    return _count(model)


def _network(draw: Draw, *layers: nn.Module) -> nn.Sequential:
    """A Sequential of these layers with drawn weights and statistics far from 0 and 1."""
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
        Case("some parameters of a network that came in frozen", (closed, ["0.weight", "1.weight", "7.bias"], x)),
        Case("the last layer only", (deep, ["11.weight", "11.bias"], x)),
        Case("one batch norm and the head", (deep, ["4.weight", "4.bias", "11.weight"], strided(x))),
        Case("a name that is part of another", (deep, ["1.weight"], x)),
        Case("all batch norms", (deep, norms, x)),
        Case("a batch norm's bias alone", (deep, ["7.bias"], x)),
        Case("layers inside a layer, with dropout", (nested, ["0.conv.weight", "2.bias"], small)),
        Case("nothing at all", (nested, [], small)),
        Case("everything", (deep, everything, x)),
        Case("a batch norm without parameters", (bare, ["4.weight", "4.bias"], x)),
    ]


def _wrong(
    learns: Callable[[str, list[str]], bool] = lambda name, trainable: name in trainable,
    still: Callable[[nn.Module], None] = lambda model: _still(layer for layer in _norms(model) if _is_frozen(layer)),
    count: Callable[[nn.Module], Any] = _count,
) -> Freeze:
    """The right answer with one part changed."""

    def freeze(model: nn.Module, trainable: list[str]) -> Any:
        _flag(model, lambda name: learns(name, trainable))
        still(model)
        return count(model)

    return freeze


def _on_modules(model: nn.Module, trainable: list[str]) -> int:
    """Sets an attribute of this name on the layers, which nobody reads."""
    layers = {name.rpartition(".")[0] for name in trainable}
    for name, module in model.named_modules():
        if not list(module.children()):
            module.requires_grad = name in layers  # type: ignore[assignment]
            if isinstance(module, nn.BatchNorm2d) and name not in layers:
                module.eval()
    return _count(model)


def _never_opened(model: nn.Module, trainable: list[str]) -> int:
    for name, parameter in model.named_parameters():
        if name not in trainable:
            parameter.requires_grad_(False)
    _still(layer for layer in _norms(model) if _is_frozen(layer))
    return _count(model)


def _without_momentum(model: nn.Module) -> None:
    for layer in _norms(model):
        if _is_frozen(layer):
            layer.momentum = 0.0


def _norms_first(model: nn.Module, trainable: list[str]) -> int:
    """Looks at the flags that the network came with."""
    _still(layer for layer in _norms(model) if _is_frozen(layer))
    _flag(model, lambda name: name in trainable)
    return _count(model)


def _untracked(model: nn.Module) -> None:
    for layer in _norms(model):
        if _is_frozen(layer):
            layer.track_running_stats = False


FREEZE_MISTAKES = (
    Mistake(
        "statistics move",
        "Your frozen batch norms go on averaging: requires_grad does not stop running_mean and running_var, eval mode does.",
        _wrong(still=lambda model: None),
    ),
    Mistake(
        "requires_grad on modules",
        "You set requires_grad on layers, where nobody reads it; it is a property of parameters (model.named_parameters()).",
        _on_modules,
    ),
    Mistake(
        "the others trained",
        "You froze the parameters that should learn, and left the others open: it is the wrong way round.",
        _wrong(lambda name, trainable: name not in trainable),
    ),
    Mistake(
        "never opened",
        "You only close parameters; those that should learn may have come in frozen: set requires_grad to True for them.",
        _never_opened,
    ),
    Mistake(
        "part of a name",
        "You look for a name inside another: 1.weight is part of 11.weight; compare whole names.",
        _wrong(lambda name, trainable: any(one in name for one in trainable)),
    ),
    Mistake(
        "whole layers",
        "You open the whole layer of each name; only the parameters that are named may learn.",
        _wrong(lambda name, trainable: name.rpartition(".")[0] in {one.rpartition(".")[0] for one in trainable}),
    ),
    Mistake(
        "all batch norms still",
        "You put every batch norm into eval mode; one that learns must go on averaging its statistics.",
        _wrong(still=lambda model: _still(_norms(model))),
    ),
    Mistake(
        "whole network in eval mode",
        "You put the whole network into eval mode; only frozen batch norms go there, the rest trains (dropout too).",
        _wrong(still=lambda model: _still([model])),
    ),
    Mistake(
        "momentum 0",
        "With momentum 0 a batch norm still normalizes by the batch; frozen, it must use its stored statistics: eval mode.",
        _wrong(still=_without_momentum),
    ),
    Mistake(
        "not tracked",
        "Without track_running_stats a batch norm normalizes by the batch; frozen, it must use its stored statistics: eval mode.",
        _wrong(still=_untracked),
    ),
    Mistake(
        "half-frozen norms still",
        "A batch norm learns as long as one of its parameters does; you freeze it as soon as one is frozen.",
        _wrong(
            still=lambda model: _still(
                layer
                for layer in _norms(model)
                if _is_frozen(layer) or not all(parameter.requires_grad for parameter in layer.parameters())
            )
        ),
    ),
    Mistake(
        "batch norms looked at first",
        "You look at the batch norms before you set requires_grad, so you see the old flags; set the flags first.",
        _norms_first,
    ),
    Mistake(
        "tensors counted",
        "You count tensors; count the numbers in them (numel).",
        _wrong(count=lambda model: sum(parameter.requires_grad for parameter in model.parameters())),
    ),
    Mistake(
        "all counted",
        "You count all parameters; only those that are trainable are wanted.",
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
