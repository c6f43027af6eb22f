"""The right answer to `prune_channels`: three smaller layers, and the parts that a known mistake changes."""

import copy
from typing import Any

from torch import Tensor, nn

Layers = tuple[nn.Conv2d, nn.BatchNorm2d, Any]


STATISTICS = ("weight", "bias", "running_mean", "running_var")


def layer_with(layer: Any, sizes: bool = True, **tensors: Tensor | None) -> Any:
    """A copy with other tensors; its sizes follow unless told otherwise."""
    new = copy.deepcopy(layer)
    for name, tensor in tensors.items():
        old = getattr(new, name)
        if tensor is not None:
            setattr(new, name, nn.Parameter(tensor.detach().clone()) if isinstance(old, nn.Parameter) else tensor.clone())
    if sizes and isinstance(new, nn.Conv2d):
        new.out_channels, new.in_channels = new.weight.shape[:2]
    elif sizes and isinstance(new, nn.BatchNorm2d):
        new.num_features = len(new.weight)
    elif sizes:
        new.out_features, new.in_features = new.weight.shape
    return new


def channel_columns(next_layer: Any, keep: Tensor, minor: bool = False) -> Tensor:
    if isinstance(next_layer, nn.Conv2d):
        return keep
    area = next_layer.in_features // len(keep)
    return keep.repeat(area) if minor else keep.repeat_interleave(area)


def first_layers(conv: nn.Conv2d, keep: Tensor, **others: Any) -> nn.Conv2d:
    return layer_with(conv, **{"weight": conv.weight[keep], "bias": None if conv.bias is None else conv.bias[keep], **others})


def _middle(bn: nn.BatchNorm2d, keep: Tensor) -> nn.BatchNorm2d:
    return layer_with(bn, **{name: getattr(bn, name)[keep] for name in STATISTICS})


def right_channels(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    last = layer_with(next_layer, weight=next_layer.weight[:, channel_columns(next_layer, keep)])
    return first_layers(conv, keep), _middle(bn, keep), last
