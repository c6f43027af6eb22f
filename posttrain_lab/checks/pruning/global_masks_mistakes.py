"""The known mistakes of `global_masks`, each with its message."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.pruning.global_masks_oracle import Weights, over_all, prunable, right_global, total_weights
from posttrain_lab.checks.pruning.magnitude_mask import right_magnitude
from posttrain_lab.checks.pruning.separated_weights import right_count


def _thresholds(weights: Weights, sparsity: float, combine: Callable[[Tensor, Tensor], Tensor]) -> Weights:
    """One threshold from those of the layers: `combine(thresholds, sizes)`; sparsity 0 and 1 are right."""
    some = prunable(weights)
    if sparsity in (0.0, 1.0):
        return right_global(weights, sparsity)
    ends = torch.stack([torch.quantile(weight.abs().flatten(), sparsity) for weight in some.values()])
    limit = combine(ends, torch.tensor([float(weight.numel()) for weight in some.values()]))
    return {n: w.abs() > limit if n in some else torch.ones(w.shape, dtype=torch.bool) for n, w in weights.items()}


def _compared(strict: bool) -> Callable[[Weights, float], Weights]:
    """One threshold for all; weights equal to it are all removed or all kept."""

    def global_masks(weights: Weights, sparsity: float) -> Weights:
        some = prunable(weights)
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
    return over_all(weights, sparsity, prunable(weights), torch.abs, gone)


def _bias_ranked(weights: Weights, sparsity: float) -> Weights:
    masks = over_all(weights, sparsity, weights, torch.abs)
    return {name: mask if mask.ndim >= 2 else torch.ones_like(mask) for name, mask in masks.items()}


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
        lambda weights, sparsity: over_all(weights, sparsity, weights, torch.abs),
    ),
    Mistake(
        "biases ranked",
        "You rank biases with the weights, though you keep them; take only tensors with two axes or more into the list.",
        _bias_ranked,
    ),
    Mistake(
        "biases by name",
        "You recognize biases by their names; the weight of a norm has one axis too and is not pruned: use the number of axes.",
        lambda weights, sparsity: over_all(weights, sparsity, {n: w for n, w in weights.items() if "bias" not in n}, torch.abs),
    ),
    Mistake(
        "half rounded up",
        "You remove one weight too many where the count ends in .5; use Python's round, which rounds a half to the even number.",
        lambda weights, sparsity: over_all(
            weights, sparsity, prunable(weights), torch.abs, int(sparsity * total_weights(weights) + 0.5)
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
        lambda weights, sparsity: right_global(prunable(weights), sparsity),
    ),
    Mistake(
        "biases gone",
        "Your masks of the biases are all False; tensors that are not pruned get masks of True.",
        _changed(lambda mask, name: mask if mask.ndim >= 2 else ~mask),
    ),
    Mistake(
        "signed",
        "You compare weights with their sign; compare magnitudes, abs().",
        lambda weights, sparsity: over_all(weights, sparsity, prunable(weights), lambda w: w),
    ),
    Mistake(
        "keeps the smallest",
        "You remove the largest weights of all; remove the smallest.",
        lambda weights, sparsity: over_all(weights, sparsity, prunable(weights), lambda w: -w.abs()),
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
        lambda weights, sparsity: over_all(
            weights, sparsity, prunable(weights), torch.abs, int(sparsity * total_weights(weights))
        ),
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
