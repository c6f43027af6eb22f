"""The right answer to `global_masks`: one ranking of all magnitudes, and the parts that a known mistake changes."""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.pruning.separated_weights import lowest, right_count

Weights = dict[str, Tensor]


def prunable(weights: Weights) -> Weights:
    return {name: weight for name, weight in weights.items() if weight.ndim >= 2}


def over_all(
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
    return over_all(weights, sparsity, prunable(weights), torch.abs)


def total_weights(weights: Weights) -> int:
    return sum(weight.numel() for weight in prunable(weights).values())
