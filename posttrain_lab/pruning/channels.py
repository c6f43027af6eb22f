"""Remove whole channels between two layers: smaller tensors, the same arithmetic, and faster on any machine.

`prune_channels` cuts one pair by hand; `structured.py` finds what must be cut together in a whole network.
"""

import copy
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from posttrain_lab.module_walks import computes_as, described

NORMS = ("weight", "bias", "running_mean", "running_var")


def slice_outputs(layer: Any, keep: Tensor) -> Any:
    """A copy of a Linear or Conv2d with only the outputs at these positions, in this order."""
    layer = copy.deepcopy(layer)
    _set(layer, "weight", layer.weight[keep])
    _set(layer, "bias", None if layer.bias is None else layer.bias[keep])
    setattr(layer, "out_features" if isinstance(layer, nn.Linear) else "out_channels", len(keep))
    return layer


def slice_inputs(layer: Any, keep: Tensor) -> Any:
    """A copy of a Linear or Conv2d with only the inputs at these positions (of each group)."""
    layer = copy.deepcopy(layer)
    _set(layer, "weight", layer.weight[:, keep])
    if isinstance(layer, nn.Linear):
        layer.in_features = len(keep)
    else:
        layer.in_channels = len(keep) * layer.groups
    return layer


def slice_norm(norm: Any, keep: Tensor) -> Any:
    """A copy of a batch norm with only these channels: weight, bias and both running statistics."""
    norm = copy.deepcopy(norm)
    for name in NORMS:
        value = getattr(norm, name)
        if value is not None:
            _set(norm, name, value[keep])
    norm.num_features = len(keep)
    return norm


def _set(layer: nn.Module, name: str, value: Tensor | None) -> None:
    """A new parameter, or buffer, of the same kind."""
    old = getattr(layer, name)
    if isinstance(old, nn.Parameter) and value is not None:
        value = nn.Parameter(value.detach().clone(), requires_grad=old.requires_grad)
    elif value is not None:
        value = value.detach().clone()
    setattr(layer, name, value)


def prune_channels(
    conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: nn.Conv2d | nn.Linear, keep: Bool[Tensor, " out"]
) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d | nn.Linear]:
    """Three smaller layers that compute the same as these, if the removed channels are 0 at the input of the next layer.

    conv loses its filters, bn its weight, bias and statistics, next_layer the inputs that belonged to the removed channels. A Linear
    after a flatten has in_features = out * area: channel c has the columns c * area ... (c + 1) * area - 1.

    keep [out]: True where a channel stays. New layers in the same modes; the three given layers are not changed.
    Raises TypeError for other layers; ValueError for a mask of another length, no channel left, NaN, groups, widths that do not fit.
    Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets".

    >>> layers = prune_channels(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(36, 2), torch.tensor([True, False, False, True]))
    >>> [tuple(layer.weight.shape) for layer in layers]
    [(2, 1, 3, 3), (2,), (2, 18)]
    """
    area = _check(conv, bn, next_layer, keep)
    kept = keep.nonzero().flatten()
    columns = (kept[:, None] * area + torch.arange(area, device=kept.device)).flatten()
    return slice_outputs(conv, kept), slice_norm(bn, kept), slice_inputs(next_layer, columns)


def _check(conv: Any, bn: Any, next_layer: Any, keep: Any) -> int:
    """Raise unless the three layers fit together; return how many inputs of the next layer belong to a channel."""
    kinds = ((nn.Conv2d,), (nn.BatchNorm2d,), (nn.Conv2d, nn.Linear))
    layers = list(zip((conv, bn, next_layer), kinds, strict=True))
    if not all(computes_as(layer, *kind) for layer, kind in layers):
        given = ", ".join(described(layer, *kind) for layer, kind in layers)
        raise TypeError(f"prune_channels wants Conv2d, BatchNorm2d and Conv2d or Linear, got {given}.")
    out = conv.out_channels
    if not isinstance(keep, Tensor) or keep.dtype != torch.bool or keep.shape != (out,):
        got = f"{keep.dtype} {tuple(keep.shape)}" if isinstance(keep, Tensor) else type(keep).__name__
        raise ValueError(f"prune_channels wants keep as a bool tensor [{out}], one for each filter of conv, got {got}.")
    if not keep.any():
        raise ValueError(f"prune_channels wants at least one channel to stay in conv, got keep all False for its {out}.")
    if conv.groups != 1 or (isinstance(next_layer, nn.Conv2d) and next_layer.groups != 1):
        raise ValueError("prune_channels wants layers without groups, got groups > 1; use find_groups and remove_units.")
    if bn.num_features != out:
        raise ValueError(f"prune_channels wants a bn of {out} channels, as conv has, got {bn.num_features}; pick its neighbour.")
    for name, layer in (("conv", conv), ("bn", bn), ("next_layer", next_layer)):
        if any(not torch.isfinite(value).all() for value in layer.state_dict().values()):
            raise ValueError(f"prune_channels wants finite numbers in {name}, got NaN or infinity; find where it diverged.")
    inputs = next_layer.in_channels if isinstance(next_layer, nn.Conv2d) else next_layer.in_features
    if (isinstance(next_layer, nn.Conv2d) and inputs != out) or inputs % out:
        raise ValueError(f"prune_channels wants a next_layer that takes {out} channels, got {inputs} inputs; pick its neighbour.")
    return inputs // out
