"""compile_for_speed: times every layer on every kernel that can replace it, keeps the fastest, and says for each layer why."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from posttrain_lab.kernels.layers import (
    BlockSparseLinear,
    KernelLayer,
    NMLinear,
    PackedInt4Linear,
    PackedInt8Conv2d,
    PackedInt8Linear,
    SparseLinear,
)
from posttrain_lab.measure import latency
from posttrain_lab.metrics import evaluating
from posttrain_lab.module_walks import (
    baked,
    check_copyable,
    check_float32,
    computes_as,
    every_name,
    exchange,
    weights_read,
    without_fast_path,
)

KINDS: dict[str, tuple[type[nn.Module], Callable[..., KernelLayer]]] = {
    "int8": (nn.Linear, PackedInt8Linear.from_linear),
    "int8_conv": (nn.Conv2d, PackedInt8Conv2d.from_conv2d),
    "int4": (nn.Linear, PackedInt4Linear.from_linear),
    "sparse": (nn.Linear, SparseLinear.from_linear),
    "block_sparse": (nn.Linear, BlockSparseLinear.from_linear),
    "nm": (nn.Linear, NMLinear.from_linear),
}
EXACT = ("sparse", "block_sparse", "nm")  # the same numbers up to the order of the sums


@dataclass(frozen=True)
class LayerChoice:
    """One layer: what was chosen, the median seconds of each way, the relative error of each kernel, and why."""

    name: str
    layer: str
    chosen: str
    seconds: dict[str, float]
    errors: dict[str, float]
    reason: str


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """The new model, one `LayerChoice` for each Linear and Conv2d, and the median seconds of the whole model before and after."""

    model: nn.Module
    choices: tuple[LayerChoice, ...]
    seconds: tuple[float, float]

    def __str__(self) -> str:
        lines = [f"{one.name:20} {one.layer:28} {one.chosen:12} {one.reason}" for one in self.choices]
        before, after = self.seconds
        whole = f"whole model: {1e3 * before:.3g} ms before, {1e3 * after:.3g} ms after, {before / after:.2f} times faster"
        return "\n".join(["layer                class                        chosen       why", *lines, whole])


@torch.no_grad()
def compile_for_speed(
    model: nn.Module,
    example: Tensor,
    kinds: tuple[str, ...] = ("int8", "int8_conv", *EXACT),
    tolerance: float = 0.05,
    margin: float = 1.05,
    repeats: int = 15,
) -> CompiledModel:
    """Which layers of this model are faster on a kernel, on this machine, for inputs like `example`?

    Each Linear and Conv2d is timed on the input that `example` brings to it: as it is, and as each of `kinds` that it can
    become (int4 only when asked for: it changes results most). The fastest wins if it is `margin` times faster than the
    layer itself and its output differs by no more than `tolerance` (relative, in the 2-norm). Then the whole model is timed before
    and after; when it is slower, every layer stays as it is. A layer whose weight another module reads without calling it (in
    attention) is not tried. The model that came in is not changed. Threads are torch's setting.

    Raises TypeError for anything but a model and a tensor; ValueError for an unknown kind, a tolerance below 0, a model that is not
    float32, weights that torch's prune or the old weight_norm computes.

    >>> compiled = compile_for_speed(nn.Sequential(nn.Linear(8, 8)), torch.ones(1, 8), repeats=1)
    >>> [choice.name for choice in compiled.choices]
    ['0']
    """
    _check(model, example, kinds, tolerance)
    check_copyable("compile_for_speed", model)
    check_float32("compile_for_speed", model)
    new = baked(copy.deepcopy(model)).eval()
    choices = []
    for name, layer, x in _inputs(new, example):
        choice, chosen = _choose(name, layer, x, kinds, (tolerance, margin, repeats))
        choices.append(choice)
        new = exchange(new, layer, chosen)
    changed = any(one.chosen != "as it is" for one in choices)
    with evaluating(model):
        before, after = _both(model, without_fast_path(new) if changed else model, example, repeats)
    if changed and after <= before:
        return CompiledModel(new, tuple(choices), (before, after))
    reason = f"the whole model takes {after / before:.2f} times as long with the kernels"
    kept = [replace(one, chosen="as it is", reason=reason) if one.chosen != "as it is" else one for one in choices]
    return CompiledModel(copy.deepcopy(model).eval(), tuple(kept), (before, before))


def _both(model: nn.Module, new: nn.Module, example: Tensor, repeats: int) -> tuple[float, float]:
    """The median seconds of two models, the better of two turns: what slows the machine down for a moment hits one turn only."""
    turns = [[latency(lambda net=net: net(example), repeats, 3)[1] for net in (model, new)] for _ in range(2)]
    before, after = (min(times) for times in zip(*turns, strict=True))
    return before, after


def _check(model: nn.Module, example: Tensor, kinds: tuple[str, ...], tolerance: float) -> None:
    if not isinstance(model, nn.Module) or not isinstance(example, Tensor):
        raise TypeError(f"compile_for_speed wants a model and a tensor, got {type(model).__name__} and {type(example).__name__}.")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"compile_for_speed wants kinds out of {', '.join(KINDS)}, got {unknown[0]!r}.")
    if not tolerance >= 0:
        raise ValueError(f"compile_for_speed wants a tolerance of 0 or more, got {tolerance}.")


def _inputs(model: nn.Module, example: Tensor) -> list[tuple[str, nn.Module, Tensor]]:
    """(name, layer, its first input) for each Linear and Conv2d that the example reaches."""
    found: dict[str, tuple[nn.Module, Tensor]] = {}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda layer, inputs: found.setdefault(name, (layer, inputs[0].clone())) and None

    read = weights_read(model)
    plain = [(name, layer) for name, layer in model.named_modules() if computes_as(layer, nn.Linear, nn.Conv2d)]
    layers = [(name, layer) for name, layer in plain if not read.keys() & set(every_name(model, layer))]
    hooks = [layer.register_forward_pre_hook(keeper(name)) for name, layer in layers]
    try:
        model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [(name, *found[name]) for name, _ in layers if name in found]


def _choose(
    name: str, layer: nn.Module, x: Tensor, kinds: tuple[str, ...], limits: tuple[float, float, int]
) -> tuple[LayerChoice, nn.Module]:
    """The fastest way for one layer; limits: tolerance, margin, repeats."""
    (ways, refused), (tolerance, margin, repeats) = _ways(layer, kinds), limits
    want = layer(x)
    errors = {kind: _error(way(x), want) for kind, way in ways.items()}
    near = {kind: way for kind, way in ways.items() if errors[kind] <= tolerance}
    seconds = {kind: latency(lambda way=way: way(x), repeats, 3)[1] for kind, way in {"as it is": layer, **near}.items()}
    best = min(seconds, key=lambda kind: seconds[kind])
    faster = seconds["as it is"] / seconds[best]
    if best == "as it is" or faster < margin:
        best, reason = "as it is", _why_not(seconds, errors, near, refused)
    else:
        reason = f"{faster:.2f} times faster, error {errors[best]:.1%}"
    return LayerChoice(name, type(layer).__name__, best, seconds, errors, reason), {"as it is": layer, **near}[best]


def _ways(layer: nn.Module, kinds: tuple[str, ...]) -> tuple[dict[str, KernelLayer], list[str]]:
    """The kernels that can do this layer, and why others cannot. A sparse kernel needs a weight that is half zeros."""
    ways, refused = {}, []
    zeros = float((layer.weight == 0).float().mean())  # type: ignore[union-attr]
    for kind in kinds:
        wanted, make = KINDS[kind]
        if not isinstance(layer, wanted) or (kind in EXACT and zeros < 0.5):
            continue
        try:
            ways[kind] = make(layer)
        except ValueError as error:
            refused.append(f"{kind}: {error}")
    return ways, refused


def _error(got: Tensor, want: Tensor) -> float:
    size = want.norm().item()
    return (got - want).norm().item() / size if size else float(got.norm().item() > 0)


def _why_not(seconds: dict[str, float], errors: dict[str, float], near: dict, refused: list[str]) -> str:
    """Why a layer stays as it is."""
    tried = {kind: value for kind, value in seconds.items() if kind != "as it is"}
    if tried:
        best = min(tried, key=lambda kind: tried[kind])
        return f"{best} takes {tried[best] / seconds['as it is']:.2f} times as long"
    far = [f"{kind} is off by {error:.1%}" for kind, error in errors.items() if kind not in near]
    return "; ".join([*far, *refused]) or "no kernel for it"
