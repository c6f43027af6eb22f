"""Argument checks of this package and their messages, in one place."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.module_walks import check_own_weights, computes_as, name_some

PRUNABLE = (nn.Linear, nn.Conv2d)


def check_weight(caller: str, weight: Tensor, layer: str = "", ndim: int | None = None) -> Tensor:
    """The weight, detached; TypeError unless it is a float tensor, ValueError for NaN, infinity, emptiness or other axes."""
    where = f" in layer '{layer}'" if layer else ""
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        got = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(f"{caller} wants a float weight{where}, got {got}; convert with .float().")
    if weight.numel() == 0 or (ndim is not None and weight.ndim != ndim):
        axes = f"with {ndim} axes " if ndim is not None else ""
        raise ValueError(f"{caller} wants a weight {axes}that is not empty{where}, got {tuple(weight.shape)}; use flatten(1).")
    if not all(math.isfinite(float(end)) for end in weight.detach().aminmax()):  # one pass: isfinite makes a copy as large
        raise ValueError(f"{caller} wants finite weights{where}, got NaN or infinity; find the layer that diverged.")
    return weight.detach()


def check_sparsity(caller: str, sparsity: float, layer: str = "") -> float:
    """The share to remove, a number in [0, 1]; TypeError or ValueError otherwise."""
    where = f" for layer '{layer}'" if layer else ""
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float):
        raise TypeError(f"{caller} wants sparsity as a number{where}, got {sparsity!r}; give the share to remove, 0.9.")
    if not 0 <= sparsity <= 1:  # false for NaN too
        raise ValueError(f"{caller} wants a sparsity in [0, 1]{where}, got {sparsity}; 0.9 removes 90 %.")
    return float(sparsity)


def check_nm(caller: str, n: int, m: int, width: int, layer: str = "") -> None:
    """n of each m inputs stay: 0 <= n <= m, and m divides the width."""
    where = f" in layer '{layer}'" if layer else ""
    if any(isinstance(value, bool) or not isinstance(value, int) for value in (n, m)):
        raise TypeError(f"{caller} wants whole numbers n and m, got {n!r} and {m!r}; 2 and 4 are usual.")
    if not 0 <= n <= m or m < 1:
        raise ValueError(f"{caller} wants 0 <= n <= m and m >= 1, got {n}:{m}; n of each m weights are kept.")
    if width % m:
        raise ValueError(
            f"{caller} wants a width that {m} divides{where}, got {width} inputs; leave this layer out or choose another m."
        )


def check_mask(caller: str, mask: Tensor, weight: Tensor, layer: str) -> None:
    """A bool mask of the weight's shape, True where a weight stays."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != weight.shape:
        got = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{caller} wants a bool mask {tuple(weight.shape)} for layer '{layer}', got {got}; True keeps.")


def prunable_layers(caller: str, model: nn.Module, skip: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Every nn.Linear and nn.Conv2d by name, except those to skip. A layer with a `forward` of its own is none of them: a zero in its
    weight need not be a zero in its arithmetic. With `skip` given such a layer must be named there; without, it is left out.

    Raises TypeError unless it is a model; ValueError for an unknown name to skip, a weight that two layers share, one that is
    computed from others.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{caller} wants an nn.Module, got {type(model).__name__}; give the network itself.")
    found = {name: layer for name, layer in model.named_modules() if isinstance(layer, PRUNABLE)}
    unknown = [name for name in skip or () if name not in found]
    if unknown:
        raise ValueError(f"{caller} wants to skip layers that are there ({', '.join(found)}), got {unknown[0]!r}.")
    check_own_weights(caller, model)
    check_unshared(caller, model)
    left = {name: layer for name, layer in found.items() if name not in (skip or ())}
    changed = [f"{name} ({type(layer).__name__})" for name, layer in left.items() if not computes_as(layer, *PRUNABLE)]
    if changed and skip is not None:
        raise ValueError(f"{caller} wants layers with torch's own forward, got {name_some(changed)}; name them in skip.")
    left = {name: layer for name, layer in left.items() if computes_as(layer, *PRUNABLE)}
    if not left:
        raise ValueError(f"{caller} wants a model with Linear or Conv2d layers to prune, got none; nothing to do.")
    for name, layer in left.items():
        check_weight(caller, layer.weight, name)
    return left


def check_unshared(caller: str, model: nn.Module) -> None:
    """Raise ValueError, naming the two layers, when two modules share a parameter."""
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            here = f"{name}.{kind}" if name else kind
            other = owners.setdefault(id(parameter), here)
            if other != here:
                raise ValueError(
                    f"{caller} wants every parameter in one layer only, got '{here}' shared with '{other}'; "
                    "untie them with copy.deepcopy first."
                )


def masked_total(masks: dict[str, Tensor]) -> tuple[int, int]:
    """(weights kept, weights in all) over the masks.

    >>> masked_total({"a": torch.tensor([True, False])})
    (1, 2)
    """
    return sum(int(mask.sum()) for mask in masks.values()), sum(mask.numel() for mask in masks.values())
