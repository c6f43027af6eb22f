"""The known mistakes of `prune_channels`, each with its message."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.pruning.prune_channels_oracle import (
    STATISTICS,
    Layers,
    channel_columns,
    first_layers,
    layer_with,
    right_channels,
)


def _but(change: Callable[[Layers, Any, Any, Any, Tensor], Any]) -> Callable[..., Any]:
    """The right answer with something done to it."""
    return lambda conv, bn, next_layer, keep: change(right_channels(conv, bn, next_layer, keep), conv, bn, next_layer, keep)


def _zeroed(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    """Same sizes, zeros in the removed channels."""
    filters = conv.weight * keep[:, None, None, None]
    bias = None if conv.bias is None else conv.bias * keep
    return (
        layer_with(conv, weight=filters, bias=bias),
        layer_with(bn, weight=bn.weight * keep, bias=bn.bias * keep),
        copy.deepcopy(next_layer),
    )


def _fresh_statistics(bn: nn.BatchNorm2d) -> nn.BatchNorm2d:
    return layer_with(bn, running_mean=torch.zeros(bn.num_features), running_var=torch.ones(bn.num_features))


def _fresh_norm(bn: nn.BatchNorm2d, **options: Any) -> nn.BatchNorm2d:
    new = nn.BatchNorm2d(bn.num_features, **options).train(bn.training)
    new.load_state_dict(bn.state_dict())
    return new


def _uncounted(bn: nn.BatchNorm2d) -> nn.BatchNorm2d:
    return layer_with(bn, num_batches_tracked=torch.tensor(0))


def _options_lost(conv: nn.Conv2d) -> nn.Conv2d:
    new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, bias=conv.bias is not None)  # type: ignore[arg-type]
    new.load_state_dict(conv.state_dict())
    return new


def _without_bias(layer: Any) -> Any:
    new = copy.deepcopy(layer)
    new.bias = None
    return new


def _stale(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    """New tensors in layers whose size attributes have the old values."""
    bias = None if conv.bias is None else conv.bias[keep]
    columns = channel_columns(next_layer, keep)
    return (
        layer_with(conv, sizes=False, weight=conv.weight[keep], bias=bias),
        layer_with(bn, sizes=False, **{name: getattr(bn, name)[keep] for name in STATISTICS}),
        layer_with(next_layer, sizes=False, weight=next_layer.weight[:, columns]),
    )


def _statistics_whole(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    first, _, last = right_channels(conv, bn, next_layer, keep)
    return first, layer_with(bn, weight=bn.weight[keep], bias=bn.bias[keep]), last


def _bias_whole(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    _, middle, last = right_channels(conv, bn, next_layer, keep)
    return first_layers(conv, keep, bias=conv.bias), middle, last


def _area_forgotten(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    """The mask of the channels is used for the columns."""
    first, middle, _ = right_channels(conv, bn, next_layer, keep)
    return first, middle, layer_with(next_layer, weight=next_layer.weight[:, keep.nonzero().flatten()])


def _mask_as_columns(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    first, middle, _ = right_channels(conv, bn, next_layer, keep)
    return first, middle, layer_with(next_layer, weight=next_layer.weight[:, keep])


def _order_of_columns(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    first, middle, _ = right_channels(conv, bn, next_layer, keep)
    return first, middle, layer_with(next_layer, weight=next_layer.weight[:, channel_columns(next_layer, keep, minor=True)])


def _next_outputs(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    """The outputs of the next layer are removed in place of its inputs, where its shape allows that."""
    first, middle, last = right_channels(conv, bn, next_layer, keep)
    if len(next_layer.weight) != len(keep):
        return first, middle, last
    bias = None if next_layer.bias is None else next_layer.bias[keep]
    return first, middle, layer_with(next_layer, weight=next_layer.weight[keep], bias=bias)


def _inputs_of_first(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    """The inputs of conv are removed in place of its filters, where its shape allows that."""
    first, middle, last = right_channels(conv, bn, next_layer, keep)
    return (layer_with(conv, weight=conv.weight[:, keep]) if conv.in_channels == len(keep) else first), middle, last


def _shift_added(conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: Any, keep: Tensor) -> Layers:
    """The output of a removed channel with a filter of 0 is added to the next bias."""
    first, middle, last = right_channels(conv, bn, next_layer, keep)
    if next_layer.bias is None or bn.running_mean is None or bn.running_var is None:
        return first, middle, last
    constant = torch.relu(bn.bias - bn.weight * bn.running_mean / (bn.running_var + bn.eps).sqrt()) * ~keep
    whole = next_layer.weight.flatten(2).sum(2) if next_layer.weight.ndim == 4 else next_layer.weight
    moved = next_layer.bias + whole @ constant.repeat_interleave(whole.shape[1] // len(keep))
    return first, middle, layer_with(last, bias=moved)


CHANNEL_MISTAKES = (
    Mistake(
        "zeroed, not removed",
        "Your layers have their old sizes with zeros inside; that saves nothing: remove the channels from the tensors.",
        _zeroed,
    ),
    Mistake(
        "next layer as it was",
        "The next layer still expects the removed channels; cut its inputs too, axis 1 of its weight.",
        _but(lambda layers, conv, bn, last, keep: (*layers[:2], copy.deepcopy(last))),
    ),
    Mistake(
        "batch norm as it was",
        "The batch norm still has all channels; cut its weight, bias, running_mean and running_var.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], copy.deepcopy(bn), layers[2])),
    ),
    Mistake(
        "statistics as they were",
        "You cut the batch norm's weight and bias but not running_mean and running_var; each channel has its own.",
        _statistics_whole,
    ),
    Mistake(
        "statistics fresh",
        "Your new batch norm starts with mean 0 and variance 1; copy the kept part of running_mean and running_var.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], _fresh_statistics(layers[1]), layers[2])),
    ),
    Mistake(
        "the others removed",
        "You removed the channels that should be kept; keep is True where a channel is kept.",
        lambda conv, bn, next_layer, keep: right_channels(conv, bn, next_layer, ~keep),
    ),
    Mistake(
        "first channels kept",
        "You keep the first channels; `keep` says which ones are kept, not only how many.",
        lambda conv, bn, next_layer, keep: right_channels(conv, bn, next_layer, keep.sort(descending=True).values),
    ),
    Mistake(
        "outputs of the next layer",
        "You cut the outputs of the next layer (axis 0); the channels are its inputs, axis 1 of its weight.",
        _next_outputs,
    ),
    Mistake(
        "inputs of the convolution",
        "You cut the inputs of conv (axis 1); its output channels are axis 0 of its weight.",
        _inputs_of_first,
    ),
    Mistake(
        "one column a channel",
        "Behind a flatten each channel has in_features / channels columns of the linear layer; you take one for each.",
        _area_forgotten,
    ),
    Mistake(
        "mask as columns",
        "`keep` has one entry for each channel, but a linear layer behind a flatten has several columns for each: repeat_interleave it.",
        _mask_as_columns,
    ),
    Mistake(
        "columns in another order",
        "The columns of a channel are side by side after a flatten: use repeat_interleave, not repeat.",
        _order_of_columns,
    ),
    Mistake(
        "bias as it was",
        "You cut the weight of conv but not its bias, which has one element for each channel too.",
        _bias_whole,
    ),
    Mistake(
        "bias lost",
        "The bias of conv is lost; where there is one, copy its kept part.",
        _but(lambda layers, conv, bn, last, keep: (_without_bias(layers[0]), *layers[1:])),
    ),
    Mistake(
        "bias of the next layer lost",
        "The bias of the next layer is lost; it belongs to the outputs of that layer, so copy all of it.",
        _but(lambda layers, conv, bn, last, keep: (*layers[:2], _without_bias(layers[2]))),
    ),
    Mistake(
        "shift added to the next bias",
        "You add the batch norm's output for a zero filter to the next bias; here removed channels are 0 in the next layer's input.",
        _shift_added,
    ),
    Mistake(
        "old sizes",
        "Your tensors are smaller, but out_channels, num_features or in_features still have the old value; set them too.",
        _stale,
    ),
    Mistake(
        "options lost",
        "Your new convolution lost the stride, padding or dilation of the old one; pass them on.",
        _but(lambda layers, conv, bn, last, keep: (_options_lost(layers[0]), *layers[1:])),
    ),
    Mistake(
        "eps lost",
        "Your new batch norm has the default eps and momentum; pass on those of the old one.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], _fresh_norm(layers[1]), layers[2])),
    ),
    Mistake(
        "count of batches lost",
        "num_batches_tracked of your new batch norm starts at 0; copy that of the old one, it counts for all channels.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], _uncounted(layers[1]), layers[2])),
    ),
    Mistake(
        "three new layers in training mode",
        "Your three layers are in training mode (a new layer always is); give each the mode of the old one: new.train(old.training).",
        _but(lambda layers, conv, bn, last, keep: tuple(layer.train() for layer in layers)),
    ),
    Mistake(
        "training mode",
        "Your new batch norm is in training mode (a new layer always is); give it the mode of the old one.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], layers[1].train(), layers[2])),
    ),
)
