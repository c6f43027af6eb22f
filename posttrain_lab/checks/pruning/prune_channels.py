"""Cases and known mistakes of `prune_channels`: layers that are really smaller, around a convolution.

Conventions that the notebook states in the same words: `keep` is a bool tensor [out], True where a channel stays; channels keep their
order. "Masked" means that the input of the next layer is 0 in the removed channels, so all that belongs to them is removed and nothing is
added elsewhere. A Linear behind a flatten has `area` columns for each channel, side by side: channel c has c * area ... (c + 1) * area - 1.
The result is three new layers with matching sizes, with options and modes as before; the three given layers are not changed and share
no tensor with the new ones: `cut` tests that in the student's process, where both are.

The count of batches of the batch norm stays as it is: with momentum None it is the weight of the running mean.

The tensors are copies of parts, so they are equal, in dtype too: rtol 1e-6 only allows for another dtype in between.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise
from posttrain_lab.checks.engine.judges import Judge, difference
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.random_cases import Draw
from posttrain_lab.checks.pruning.prune_channels_mistakes import CHANNEL_MISTAKES
from posttrain_lab.checks.pruning.prune_channels_oracle import right_channels

MODES = ((True, False, False), (False, False, True), (False, True, False))
NAMES = ("conv", "bn", "next_layer")


OPTIONS = {
    nn.Conv2d: (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "training",
    ),
    nn.BatchNorm2d: ("num_features", "eps", "momentum", "affine", "track_running_stats", "training"),
    nn.Linear: ("in_features", "out_features", "training"),
}


@adapter
def cut(
    function: Callable[..., Any], conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor
) -> tuple[Any, list[str]]:
    """What the function returns, and which of its tensors share memory with a given layer."""
    before = {memory for layer in (conv, bn, next_layer) for memory in _memories(layer).values()}
    layers = function(conv, bn, next_layer, keep)
    named = zip(NAMES, layers, strict=False) if isinstance(layers, tuple | list) else ()
    found = [(name, _memories(layer)) for name, layer in named if isinstance(layer, nn.Module)]
    return layers, [f"{name}: {part}" for name, parts in found for part, memory in parts.items() if memory in before]


def _memories(layer: nn.Module) -> dict[str, int]:
    """The address of each tensor that is not empty, by name."""
    return {name: one.untyped_storage().data_ptr() for name, one in layer.state_dict().items() if one.numel()}


def channels_judge() -> Judge:
    """Three layers of the same kinds with the same options and the same tensors, none of them shared."""

    def judge(want: Outcome, got: Outcome) -> str | None:
        layers, shared = got.value
        if type(layers) not in (tuple, list) or len(layers) != 3:
            return f"expected three layers (conv, bn, next_layer), got {type(layers).__name__}."
        for name, right, layer in zip(NAMES, want.value[0], layers, strict=True):
            if found := _layer_difference(right, layer):
                return f"{name}: {found}"
        if shared:
            return f"{shared[0]} is still the tensor of the given layer, so training one would change the other; copy it."
        return None

    return judge


def _layer_difference(right: nn.Module, layer: Any) -> str | None:
    if type(layer) is not type(right):
        return f"expected a {type(right).__name__}, got {type(layer).__name__}."
    for option in OPTIONS[type(right)]:
        if getattr(right, option) != getattr(layer, option):
            return f"{option} must be {getattr(right, option)}, got {getattr(layer, option)}."
    ours, theirs = right.state_dict(), layer.state_dict()
    if missing := set(ours) ^ set(theirs):
        return f"{sorted(missing)[0]} is {'missing' if missing & set(ours) else 'too many'}."
    found = ((name, difference(ours[name], theirs[name], 1e-6, 0.0, strict_dtype=True)) for name in ours)
    return next((f"{name}: {text}" for name, text in found if text), None)


def _norm(draw: Draw, channels: int, **options: float | None) -> nn.BatchNorm2d:
    bn = nn.BatchNorm2d(channels, **options)  # type: ignore[arg-type]
    bn.num_batches_tracked += draw.whole(2, 90)  # type: ignore[operator]
    bn.weight.data, bn.bias.data = draw.uniform(0.4, 2.0, channels), draw.normal(channels) + 0.7
    bn.running_mean, bn.running_var = draw.normal(channels) - 1.2, draw.uniform(0.2, 3.0, channels)
    return bn.eval()


def _filled(draw: Draw, layer: Any) -> Any:
    layer.weight.data = draw.normal(*layer.weight.shape)
    if layer.bias is not None:
        layer.bias.data = draw.normal(*layer.bias.shape)
    return layer.eval()


def _keep(draw: Draw, channels: int, count: int) -> Tensor:
    """`count` of the channels: the first is removed and the last is kept (when there is a choice)."""
    keep = torch.zeros(channels, dtype=torch.bool)
    keep[draw.shuffled(range(channels))[:count]] = True
    if 0 < count < channels and keep[0]:
        keep[[0, int((~keep).nonzero()[-1])]] = torch.tensor([False, True])
    return keep


def channel_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "prune_channels")
    a, b, c = draw.whole(2, 3), draw.whole(6, 8), draw.whole(4, 5)
    with torch.random.fork_rng(devices=[]):
        same = _filled(draw, nn.Conv2d(b, b, 3, padding=1, bias=False)), _norm(draw, b), _filled(draw, nn.Conv2d(b, b, 3))
        plain = _filled(draw, nn.Conv2d(a, b, 3)), _norm(draw, b), _filled(draw, nn.Conv2d(b, c, 3, bias=False))
        odd = (
            _filled(draw, nn.Conv2d(a, b, (1, 3), stride=(1, 2), padding=(0, 1), padding_mode="circular")),
            _norm(draw, b, eps=draw.real(0.01, 0.3), momentum=0.3),
            _filled(draw, nn.Conv2d(b, c, 2, stride=2, dilation=2, padding=1)),
        )
        flat = _filled(draw, nn.Conv2d(1, b, 3, bias=False)), _norm(draw, b), _filled(draw, nn.Linear(b * c, a))
        square = _filled(draw, nn.Conv2d(a, 4, 3)), _norm(draw, 4), _filled(draw, nn.Linear(4 * 4, 5, bias=False))
        alone = _filled(draw, nn.Conv2d(a, c, 1)), _norm(draw, c), _filled(draw, nn.Linear(c, 3))
        train = copy.deepcopy(plain[0]).train(), copy.deepcopy(plain[1]).train(), copy.deepcopy(plain[2]).train()
    return [
        Case("as many inputs as outputs in both convolutions", (*same, _keep(draw, b, b // 2))),
        Case("two convolutions", (*plain, _keep(draw, b, draw.whole(2, b - 2)))),
        Case("options of all kinds", (*odd, _keep(draw, b, draw.whole(2, b - 2)))),
        Case("a linear layer behind a flatten", (*flat, _keep(draw, b, draw.whole(2, b - 2)))),
        Case("as many columns for each channel as channels", (*square, _keep(draw, 4, 2))),
        Case("a linear layer, one column for each channel", (*alone, _keep(draw, c, 2))),
        Case("a single channel is kept", (*plain, _keep(draw, b, 1))),
        Case("all channels are kept", (*flat, torch.ones(b, dtype=torch.bool))),
        Case("layers in training mode", (*train, _keep(draw, b, draw.whole(2, b - 2)))),
        Case("a mask that is not contiguous", (*plain, _keep(draw, b, 3).repeat_interleave(2)[::2])),
    ]


def channel_workload(seed: int) -> list[Case]:
    """Layers of the network (a part of the inputs of the linear one), channels last, and float64 ones in several modes."""
    draw = Draw(seed, "channel workload")
    with torch.random.fork_rng(devices=[]):
        first, second = (_filled(draw, nn.Conv2d(*sizes, 3, padding=1, bias=False)) for sizes in ((24, 48), (48, 96)))
        linear = _filled(draw, nn.Linear(96 * 6, 64))
        wide, three = _norm(draw, 48), _norm(draw, 96)
        exact = _filled(draw, nn.Conv2d(2, 5, 3)), _norm(draw, 5, momentum=None), _filled(draw, nn.Conv2d(5, 3, 3))
    first, second = (layer.to(memory_format=torch.channels_last) for layer in (first, second))
    modes = [layer.double().train(way) for layer, way in zip(exact, draw.pick(MODES), strict=True)]
    return [
        Case("the second and third convolution of the network", (first, wide, second, _keep(draw, 48, 24))),
        Case("its third convolution and linear layer", (second, three, linear, _keep(draw, 96, 56))),
        Case("float64, a mean over all batches, layers in different modes", (*modes, _keep(draw, 5, 3))),
    ]


prune_channels = Exercise(
    name="prune_channels",
    unit="01_pruning",
    points=4,
    difficulty=4,
    minutes=20,
    oracle=right_channels,
    cases=channel_cases,
    mistakes=CHANNEL_MISTAKES,
    judge=channels_judge(),
    through="pruning.prune_channels:cut",
    workload=channel_workload,
    library="pruning:prune_channels pruning.channels:slice_outputs pruning.channels:slice_inputs pruning.channels:slice_norm "
    "pruning:remove_units",
)
