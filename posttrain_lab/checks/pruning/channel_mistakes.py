"""The known mistakes of `prune_channels`, each with the sentence that it deserves; what they do stands in channels.py."""

import copy

from posttrain_lab.checks.exercise import Mistake
from posttrain_lab.checks.pruning import channels
from posttrain_lab.checks.pruning.channels import _but, right_channels

CHANNEL_MISTAKES = (
    Mistake(
        "zeroed, not removed",
        "Your layers have their old sizes with zeros inside; that saves nothing: cut the channels out of the tensors.",
        channels._zeroed,
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
        channels._statistics_whole,
    ),
    Mistake(
        "statistics fresh",
        "Your new batch norm starts with mean 0 and variance 1; take over the kept part of running_mean and running_var.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], channels._fresh_statistics(layers[1]), layers[2])),
    ),
    Mistake(
        "the others removed",
        "You removed the channels that should stay; keep is True where a channel stays.",
        lambda conv, bn, next_layer, keep: right_channels(conv, bn, next_layer, ~keep),
    ),
    Mistake(
        "first channels kept",
        "You keep the first channels, as many as keep has; keep says which ones stay.",
        lambda conv, bn, next_layer, keep: right_channels(conv, bn, next_layer, keep.sort(descending=True).values),
    ),
    Mistake(
        "outputs of the next layer",
        "You cut the outputs of the next layer (axis 0); the channels are its inputs, axis 1 of its weight.",
        channels._next_outputs,
    ),
    Mistake(
        "inputs of the convolution",
        "You cut the inputs of conv (axis 1); its output channels are axis 0 of its weight.",
        channels._inputs_of_first,
    ),
    Mistake(
        "one column a channel",
        "Behind a flatten each channel owns in_features / channels columns of the linear layer; you take one for each.",
        channels._area_forgotten,
    ),
    Mistake(
        "mask as columns",
        "keep has one entry for each channel, a linear layer behind a flatten has several columns for each: repeat_interleave it.",
        channels._mask_as_columns,
    ),
    Mistake(
        "columns in another order",
        "A channel's columns lie side by side after a flatten: repeat_interleave, not repeat.",
        channels._order_of_columns,
    ),
    Mistake(
        "bias as it was",
        "You cut the weight of conv but not its bias, which has one number for each channel too.",
        channels._bias_whole,
    ),
    Mistake(
        "bias lost",
        "The bias of conv is lost; where there is one, its kept part stays.",
        _but(lambda layers, conv, bn, last, keep: (channels._without_bias(layers[0]), *layers[1:])),
    ),
    Mistake(
        "bias of the next layer lost",
        "The bias of the next layer is lost; it belongs to its outputs and stays whole.",
        _but(lambda layers, conv, bn, last, keep: (*layers[:2], channels._without_bias(layers[2]))),
    ),
    Mistake(
        "shift moved on",
        "You move what the batch norm gives for a zero filter into the next bias; here the next layer sees 0 in removed channels.",
        channels._shift_moved,
    ),
    Mistake(
        "old sizes",
        "Your tensors are smaller, but out_channels, num_features or in_features still say the old number; set them too.",
        channels._stale,
    ),
    Mistake(
        "options lost",
        "Your new convolution lost the stride, padding or dilation of the old one; hand them over.",
        _but(lambda layers, conv, bn, last, keep: (channels._options_lost(layers[0]), *layers[1:])),
    ),
    Mistake(
        "eps lost",
        "Your new batch norm has the usual eps and momentum; hand over those of the old one.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], channels._fresh_norm(layers[1]), layers[2])),
    ),
    Mistake(
        "training mode",
        "Your new batch norm is in training mode (a new layer always is); give it the mode of the old one.",
        _but(lambda layers, conv, bn, last, keep: (layers[0], layers[1].train(), layers[2])),
    ),
)
