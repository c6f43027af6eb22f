"""Cases, laws and known mistakes of `global_masks`: the weights of all layers are ranked together.

Conventions that the notebook states in the same words: a tensor with fewer than two axes (a bias, a norm) is not pruned and not
counted; of all others together exactly round(sparsity * total) weights are removed; the result has every name, with a mask.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.pruning.magnitude_mask import right_magnitude
from posttrain_lab.checks.pruning.separated_weights import clear_sparsity, levels, lowest, right_count, signs

Weights = dict[str, Tensor]


def _prunable(weights: Weights) -> Weights:
    return {name: weight for name, weight in weights.items() if weight.ndim >= 2}


def _over_all(
    weights: Weights, sparsity: float, chosen: Weights, score: Callable[[Tensor], Tensor], gone: int | None = None
) -> Weights:
    """Masks by one ranking of `score` over the chosen tensors; all True for the others."""
    flat = torch.cat([score(weight).flatten() for weight in chosen.values()])
    kept = lowest(flat, right_count(sparsity, len(flat)) if gone is None else gone)
    parts = dict(zip(chosen, kept.split([weight.numel() for weight in chosen.values()]), strict=True))
    return {
        name: parts[name].reshape(weight.shape) if name in parts else torch.ones(weight.shape, dtype=torch.bool)
        for name, weight in weights.items()
    }


def right_global(weights: Weights, sparsity: float) -> Weights:
    return _over_all(weights, sparsity, _prunable(weights), torch.abs)


def _layers(draw: Draw, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Tensors whose magnitudes differ by 5 % or more, also between layers; each layer has another scale."""
    counts = [torch.Size(shape).numel() for shape in shapes.values()]
    lean = torch.cat([torch.full((count,), draw.real(0.0, 1.6)) + draw.uniform(0, 1, count) for count in counts])
    ranks = lean.argsort().argsort().double() - len(lean) / 2
    flat = (1.05**ranks * 0.1).float() * signs(draw, len(lean))
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), flat.split(counts), strict=True)}


def _total(weights: Weights) -> int:
    return sum(weight.numel() for weight in _prunable(weights).values())


def global_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "global_masks")
    a, b, c = draw.whole(4, 6), draw.whole(3, 5), draw.whole(5, 7)
    two = _layers(draw, {"first": (a, b), "second": (c, a)})
    whole = _layers(draw, {"0.weight": (a, 1, 3, 3), "0.bias": (a,), "4.weight": (c, b), "4.bias": (c,), "7.weight": (2, c)})
    norm = _layers(draw, {"0.weight": (b, a, 3), "1.weight": (b,), "1.bias": (b,), "3.weight": (c, b)})
    uneven = _layers(draw, {"tiny": (1, 2), "large": (c, 2 * a)})
    views = {name: strided(weight) if name == "second" else weight for name, weight in two.items()}

    def sparsity(weights: Weights, up: bool | None = None) -> float:
        return clear_sparsity(draw, [_total(weights)], 0.3, 0.85, up)

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


def _ties(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "ties of all")
    weights = {"a": levels(draw, draw.whole(4, 6), 5), "b": levels(draw, 6, draw.whole(3, 5), most=3), "a.bias": torch.ones(4)}
    total = _total(weights)
    sparsity = clear_sparsity(draw, [total], 0.3, 0.7)
    masks = call(weights, sparsity)
    if not isinstance(masks, dict) or set(masks) != set(weights):
        return f"expected a dict with the keys {sorted(weights)}."
    for name, weight in weights.items():
        if not isinstance(masks[name], Tensor) or masks[name].dtype != torch.bool or masks[name].shape != weight.shape:
            return f"expected a bool tensor of shape {tuple(weight.shape)} for {name!r}."
    return _count_complaint(weights, masks, right_count(sparsity, total))


def _count_complaint(weights: Weights, masks: Weights, gone: int) -> str | None:
    flat, kept = (torch.cat([some[name].flatten() for name in _prunable(weights)]) for some in (weights, masks))
    if not masks["a.bias"].all():
        return "the bias must not be pruned."
    if int((~kept).sum()) != gone:
        return f"of {len(flat)} weights with equal ones among them exactly {gone} must be removed, your masks remove {int((~kept).sum())}."
    if flat.abs()[kept].min() < flat.abs()[~kept].max():
        return "a weight is kept that is smaller than a removed one."
    return None


GLOBAL_LAWS = (Law("equal magnitudes", _ties),)


def _thresholds(weights: Weights, sparsity: float, combine: Callable[[Tensor, Tensor], Tensor]) -> Weights:
    """One threshold from those of the layers: `combine(thresholds, sizes)`; sparsity 0 and 1 are right."""
    some = _prunable(weights)
    if sparsity in (0.0, 1.0):
        return right_global(weights, sparsity)
    ends = torch.stack([torch.quantile(weight.abs().flatten(), sparsity) for weight in some.values()])
    limit = combine(ends, torch.tensor([float(weight.numel()) for weight in some.values()]))
    return {n: w.abs() > limit if n in some else torch.ones(w.shape, dtype=torch.bool) for n, w in weights.items()}


def _compared(strict: bool) -> Callable[[Weights, float], Weights]:
    """One threshold for all; weights equal to it are all removed or all kept."""

    def global_masks(weights: Weights, sparsity: float) -> Weights:
        some = _prunable(weights)
        order = torch.cat([weight.abs().flatten() for weight in some.values()]).sort().values
        gone = right_count(sparsity, len(order))
        limit = (
            (order[gone - 1] if gone else torch.tensor(-1.0)) if strict else torch.cat([order, torch.tensor([torch.inf])])[gone]
        )
        ways = {n: w.abs() > limit if strict else w.abs() >= limit for n, w in some.items()}
        return {n: ways.get(n, torch.ones(w.shape, dtype=torch.bool)) for n, w in weights.items()}

    return global_masks


def _changed(change: Callable[[Tensor, str], Any]) -> Callable[[Weights, float], Any]:
    return lambda weights, sparsity: {name: change(mask, name) for name, mask in right_global(weights, sparsity).items()}


def _normalized(weights: Weights, sparsity: float) -> Weights:
    scaled = {name: weight / weight.abs().max() for name, weight in weights.items()}
    return right_global(scaled, sparsity)


def _bias_in_total(weights: Weights, sparsity: float) -> Weights:
    gone = right_count(sparsity, sum(weight.numel() for weight in weights.values()))
    return _over_all(weights, sparsity, _prunable(weights), torch.abs, gone)


GLOBAL_MISTAKES = (
    Mistake(
        "layer by layer",
        "You remove the same share of every layer; all layers must be ranked together, so that some lose more than others.",
        lambda weights, sparsity: {
            n: right_magnitude(w, sparsity) if w.ndim >= 2 else torch.ones(w.shape, dtype=torch.bool) for n, w in weights.items()
        },
    ),
    Mistake(
        "mean of thresholds",
        "You average the layers' thresholds; rank all weights together, which gives another threshold and the exact count.",
        lambda weights, sparsity: _thresholds(weights, sparsity, lambda ends, sizes: ends.mean()),
    ),
    Mistake(
        "weighted mean of thresholds",
        "You average the layers' thresholds by their sizes; rank all weights in one list instead (torch.cat).",
        lambda weights, sparsity: _thresholds(weights, sparsity, lambda ends, sizes: (ends * sizes).sum() / sizes.sum()),
    ),
    Mistake(
        "biases counted",
        "You prune biases too; tensors with fewer than two axes are not pruned and not counted.",
        lambda weights, sparsity: _over_all(weights, sparsity, weights, torch.abs),
    ),
    Mistake(
        "biases by name",
        "You recognize biases by their names; the weight of a norm has one axis too and is not pruned: use the number of axes.",
        lambda weights, sparsity: _over_all(weights, sparsity, {n: w for n, w in weights.items() if "bias" not in n}, torch.abs),
    ),
    Mistake(
        "half rounded up",
        "You remove one weight too many where the count ends in .5; use Python's round, which rounds a half to the even number.",
        lambda weights, sparsity: _over_all(
            weights, sparsity, _prunable(weights), torch.abs, int(sparsity * _total(weights) + 0.5)
        ),
    ),
    Mistake(
        "biases in the total",
        "You count biases in the total, so you remove too many weights; tensors with fewer than two axes are not counted.",
        _bias_in_total,
    ),
    Mistake(
        "biases left out",
        "Names are missing: a tensor that is not pruned gets a mask too, all True.",
        lambda weights, sparsity: right_global(_prunable(weights), sparsity),
    ),
    Mistake(
        "biases gone",
        "Your masks of the biases are all False; tensors that are not pruned get masks of True.",
        _changed(lambda mask, name: mask if mask.ndim >= 2 else ~mask),
    ),
    Mistake(
        "signed",
        "You compare weights with their sign; compare magnitudes, abs().",
        lambda weights, sparsity: _over_all(weights, sparsity, _prunable(weights), lambda w: w),
    ),
    Mistake(
        "keeps the smallest",
        "You remove the largest weights of all; remove the smallest.",
        lambda weights, sparsity: _over_all(weights, sparsity, _prunable(weights), lambda w: -w.abs()),
    ),
    Mistake(
        "mask inverted", "Your masks are True where a weight is removed; True must mean kept.", _changed(lambda mask, name: ~mask)
    ),
    Mistake(
        "each layer scaled",
        "You divide each layer by its largest weight first; rank the magnitudes themselves, in one list for all layers.",
        _normalized,
    ),
    Mistake(
        "count cut off",
        "int() rounds the count down; remove round(sparsity * total) weights.",
        lambda weights, sparsity: _over_all(weights, sparsity, _prunable(weights), torch.abs, int(sparsity * _total(weights))),
    ),
    Mistake(
        "sparsity as density",
        "You keep this share of the weights; sparsity is the share that is removed.",
        lambda weights, sparsity: right_global(weights, 1 - sparsity),
    ),
    Mistake(
        "strict threshold",
        "All weights equal to your threshold are removed, too many when some are equal; select exactly k by index.",
        _compared(strict=True),
    ),
    Mistake(
        "inclusive threshold",
        "All weights equal to your threshold are kept, so too few are removed when some are equal; select exactly k by index.",
        _compared(strict=False),
    ),
    Mistake(
        "numbers, not bool",
        "Your masks contain numbers; they must be bool tensors.",
        _changed(lambda mask, name: mask.float()),
    ),
    Mistake(
        "flattened",
        "Your masks are flat; each needs the shape of its weight.",
        _changed(lambda mask, name: mask.flatten()),
    ),
)


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
    library="pruning:global_masks",
)
