"""Cases, laws and known mistakes of `global_masks`: the weights of all layers are ranked together.

Conventions that the notebook states in the same words: a tensor with fewer than two axes (a bias, a norm) is not pruned and not
counted; of all others together exactly round(sparsity * total) weights are removed; the result has every name, with a mask.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided
from posttrain_lab.checks.pruning.global_masks_mistakes import GLOBAL_MISTAKES
from posttrain_lab.checks.pruning.global_masks_oracle import Weights, prunable, right_global, total_weights
from posttrain_lab.checks.pruning.separated_weights import (
    NETWORK,
    clear_sparsity,
    levels,
    neighbours,
    right_count,
    signs,
    tiny,
)


def _layers(draw: Draw, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Tensors whose magnitudes differ by 5 % or more, also between layers; each layer has another scale."""
    counts = [torch.Size(shape).numel() for shape in shapes.values()]
    lean = torch.cat([torch.full((count,), draw.real(0.0, 1.6)) + draw.uniform(0, 1, count) for count in counts])
    ranks = lean.argsort().argsort().double() - len(lean) / 2
    flat = (1.05**ranks * 0.1).float() * signs(draw, len(lean))
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), flat.split(counts), strict=True)}


def global_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "global_masks")
    a, b, c = draw.whole(4, 6), draw.whole(3, 5), draw.whole(5, 7)
    two = _layers(draw, {"first": (a, b), "second": (c, a)})
    whole = _layers(draw, {"0.weight": (a, 1, 3, 3), "0.bias": (a,), "4.weight": (c, b), "4.bias": (c,), "7.weight": (2, c)})
    norm = _layers(draw, {"0.weight": (b, a, 3), "1.weight": (b,), "1.bias": (b,), "3.weight": (c, b)})
    uneven = _layers(draw, {"tiny": (1, 2), "large": (c, 2 * a)})
    views = {name: strided(weight) if name == "second" else weight for name, weight in two.items()}

    def sparsity(weights: Weights, up: bool | None = None) -> float:
        return clear_sparsity(draw, [total_weights(weights)], 0.3, 0.85, up)

    return [
        Case("two layers, a count that is rounded up", (two, sparsity(two, up=True))),
        Case("a whole network, with biases", (whole, sparsity(whole))),
        Case("biases, a count that is rounded down", (whole, sparsity(whole, up=False))),
        Case("a norm, whose weight has one axis, and a layer of three axes", (norm, sparsity(norm))),
        Case("a tiny layer and a large one", (uneven, sparsity(uneven))),
        Case("nothing to remove", (whole, 0.0)),
        Case("everything to remove", (whole, 1.0)),
        Case("a count of something and a half", (_layers(draw, {"only": (1, 4 * b + 1)}), 0.5)),
        Case("one layer alone", ({"only": two["first"]}, clear_sparsity(draw, [a * b]))),
        Case("a view that is not contiguous", (views, sparsity(two))),
    ]


def _cut_up(draw: Draw, make: Callable[..., Tensor], shapes: dict[str, tuple[int, ...]]) -> Weights:
    """The numbers of one tensor as the weights of several layers."""
    counts = [torch.Size(shape).numel() for shape in shapes.values()]
    parts = make(draw, sum(counts)).split(counts)
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def global_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "workload of all")
    network = _cut_up(draw, ladder, {**NETWORK, "13.bias": (64,), "video": (4, 2, 3, 3, 3)})
    network["8"] = network["8"].to(memory_format=torch.channels_last)
    small, close = (_cut_up(draw, make, {"a": (9, 8), "a.bias": (9,), "b": (3, 9)}) for make in (tiny, neighbours))
    return [
        Case(
            "the layers of the network, and one of five axes",
            (network, clear_sparsity(draw, [total_weights(network)], 0.5, 0.95)),
        ),
        Case("weights around 1e-28", (small, clear_sparsity(draw, [total_weights(small)]))),
        Case("float64 weights that are equal in float32", (close, clear_sparsity(draw, [total_weights(close)]))),
    ]


def _ties(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "ties of all")
    weights = {"a": levels(draw, draw.whole(4, 6), 5), "b": levels(draw, 6, draw.whole(3, 5), most=3), "a.bias": torch.ones(4)}
    total = total_weights(weights)
    sparsity = clear_sparsity(draw, [total], 0.3, 0.7)
    masks = call(weights, sparsity)
    if not isinstance(masks, dict) or set(masks) != set(weights):
        return f"expected a dict with the keys {sorted(weights)}."
    for name, weight in weights.items():
        if not isinstance(masks[name], Tensor) or masks[name].dtype != torch.bool or masks[name].shape != weight.shape:
            return f"expected a bool tensor of shape {tuple(weight.shape)} for {name!r}."
    return _count_complaint(weights, masks, right_count(sparsity, total))


def _count_complaint(weights: Weights, masks: Weights, gone: int) -> str | None:
    flat, kept = (torch.cat([some[name].flatten() for name in prunable(weights)]) for some in (weights, masks))
    if not masks["a.bias"].all():
        return "the bias must not be pruned."
    if int((~kept).sum()) != gone:
        return f"of {len(flat)} weights with equal ones among them exactly {gone} must be removed, your masks remove {int((~kept).sum())}."
    if flat.abs()[kept].min() < flat.abs()[~kept].max():
        return "a weight is kept that is smaller than a removed one."
    return None


GLOBAL_LAWS = (Law("equal magnitudes", _ties),)


global_masks = Exercise(
    name="global_masks",
    unit="01_pruning",
    points=2,
    difficulty=2,
    minutes=10,
    oracle=right_global,
    cases=global_cases,
    mistakes=GLOBAL_MISTAKES,
    judge=close(0.0, 0.0),
    laws=GLOBAL_LAWS,
    workload=global_workload,
    legal={"not contiguous": "So may the results of this unit."},
    library="pruning:global_masks pruning.masks:global_from_scores",
)
