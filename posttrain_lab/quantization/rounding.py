"""Choose the codes of one layer's weight as a config says: to nearest, or so that the layer's output changes least."""

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

from .affine import quantize_weight
from .config import QuantizationConfig
from .granularity import Granularity, PerChannel, PerGroup
from .layer_math import layer_gram
from .low_bit import optimal_codes


def layer_granularity(weight: Tensor, granularity: Granularity) -> Granularity:
    """The granularity that fits one layer: groups of the given size, or of the next smaller divisor of its inputs.

    >>> layer_granularity(torch.zeros(24, 1, 3, 3), PerGroup(32)), layer_granularity(torch.zeros(10, 64), PerGroup(48))
    (PerGroup(size=9), PerGroup(size=32))
    """
    if not isinstance(granularity, PerGroup):
        return granularity
    inputs = weight[0].numel()
    return PerGroup(max(size for size in range(1, min(granularity.size, inputs) + 1) if inputs % size == 0))


def scale_of_each_weight(scale: Tensor, shape: torch.Size, granularity: Granularity) -> Float[Tensor, "out k"]:
    """The scales of `quantize_weight` repeated for every weight, as [out, weights of a channel].

    >>> scale_of_each_weight(torch.tensor([1.0, 2.0]), torch.Size([2, 3]), PerChannel())
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    per_channel = shape.numel() // shape[0]
    if isinstance(granularity, PerChannel):
        return scale.reshape(-1, 1).expand(shape[0], per_channel)
    return scale.reshape(-1, 1).expand(-1, shape.numel() // scale.numel()).reshape(shape[0], per_channel)


def quantize_layer(
    layer: nn.Linear | nn.Conv2d, x: Float[Tensor, "n ..."] | None, config: QuantizationConfig
) -> tuple[Int8[Tensor, "out ..."], Float[Tensor, "..."]]:
    """The weight's codes and scales (shapes as from `quantize_weight`); x: the layer's inputs, for "gptq"."""
    granularity = layer_granularity(layer.weight, config.granularity)
    codes, scale = quantize_weight(layer.weight, config.bits, granularity)
    if config.rounding == "nearest":
        return codes, scale
    if x is None or not len(x):
        raise ValueError("quantize_model wants calibration images for rounding 'gptq', got none; give some.")
    grams, weight = layer_gram(layer, x), layer.weight.detach().flatten(1)
    each = scale_of_each_weight(scale, layer.weight.shape, granularity)
    parts = [
        optimal_codes(rows, gram, columns, config.bits)
        for rows, gram, columns in zip(weight.chunk(len(grams)), grams, each.chunk(len(grams)), strict=True)
    ]
    return torch.cat(parts).reshape(layer.weight.shape), scale
