"""From torch's memory order, channels first, to that of small devices, channels last; and pixels to codes by one table."""

import torch
from jaxtyping import Int8, Shaped
from torch import Tensor

from posttrain_lab.quantization import quantize


def pixel_table(scale: float, zero_point: int, bits: int = 8, low: float = 0.0, high: float = 1.0) -> Int8[Tensor, "256"]:
    """Which code has each pixel 0..255, of value low + (high - low) * (pixel / 255)? Preprocessing and quantization in one table: no float is left.

    table[v] = quantize(low + (high - low) * (v / 255), scale, zero_point, bits). Raises as `quantize` does.

    >>> pixel_table(1 / 255, -128)[[0, 1, 255]]
    tensor([-128, -127,  127], dtype=torch.int8)
    """
    return quantize(low + (high - low) * (torch.arange(256, dtype=torch.uint8).float() / 255), scale, zero_point, bits)


def channels_last(weight: Shaped[Tensor, "out c kh kw"]) -> Shaped[Tensor, "out k"]:
    """The filters as rows in the order of a window of a channels-last image: row, column, channel; k = kh * kw * c.

    Raises ValueError for a weight that is not of 4 axes.

    >>> channels_last(torch.tensor([[[[1, 2]], [[3, 4]]]]))  # two channels, one row, two columns
    tensor([[1, 3, 2, 4]])
    """
    if weight.ndim != 4:
        raise ValueError(
            f"channels_last wants a weight [out, c, kh, kw], got {list(weight.shape)}; a Linear's goes to after_flatten."
        )
    return weight.permute(0, 2, 3, 1).flatten(1).contiguous()


def after_flatten(weight: Shaped[Tensor, "out features"], c: int, h: int, w: int) -> Shaped[Tensor, "out features"]:
    """The columns of a Linear behind a Flatten, from torch's order (channel, row, column) to (row, column, channel).

    Raises ValueError unless features = c * h * w.

    >>> after_flatten(torch.tensor([[1, 2, 3, 4]]), c=2, h=1, w=2)
    tensor([[1, 3, 2, 4]])
    """
    if weight.ndim != 2 or weight.shape[1] != c * h * w:
        raise ValueError(
            f"after_flatten wants a weight [out, {c} * {h} * {w}], got {list(weight.shape)}; give the flattened image's shape."
        )
    return channels_last(weight.reshape(len(weight), c, h, w))
