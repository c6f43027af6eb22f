"""The parts of nn.Linear and nn.Conv2d: shape of the windows, the output for another weight, the input rows of each filter."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

GRAM_BATCH = 50  # images whose windows are copied at a time


@dataclass(frozen=True)
class ConvShape:
    """How a convolution moves over the image; pads are (left, right, top, bottom)."""

    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """torch.nn's int-or-pair as a pair.

    >>> pair(3), pair((1, 2))
    ((3, 3), (1, 2))
    """
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def conv_shape(layer: nn.Conv2d) -> ConvShape:
    """Stride, explicit padding, dilation and groups of a convolution; padding "same" is split as torch does it.

    >>> conv_shape(nn.Conv2d(1, 1, 4, padding="same")).pads
    (1, 2, 1, 2)
    """
    dilation = pair(layer.dilation)
    if isinstance(layer.padding, str):
        same = layer.padding == "same"
        spans = [d * (k - 1) if same else 0 for d, k in zip(dilation, layer.kernel_size, strict=True)]
        (top, left), (bottom, right) = [s // 2 for s in spans], [s - s // 2 for s in spans]
    else:
        top, left = bottom, right = pair(layer.padding)
    return ConvShape(pair(layer.stride), (left, right, top, bottom), dilation, layer.groups)


def apply_weight(layer: nn.Linear | nn.Conv2d, x: Float[Tensor, "n ..."], weight: Tensor) -> Float[Tensor, "n ..."]:
    """The layer's output with another weight.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> apply_weight(layer, torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([[3.]])
    """
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, layer.bias)
    return convolve(x, weight, layer.bias, conv_shape(layer))


def convolve(
    x: Float[Tensor, "n c h w"], weight: Float[Tensor, "out cg kh kw"], bias: Tensor | None, shape: ConvShape
) -> Float[Tensor, "n out oh ow"]:
    """torch's convolution with the padding of a ConvShape, which may be uneven.

    >>> convolve(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), None, ConvShape(pads=(0, 1, 0, 0)))
    tensor([[[[4., 2.]]]])
    """
    left, right, top, bottom = shape.pads
    if (left, top) != (right, bottom):
        x, left, top = F.pad(x, shape.pads), 0, 0
    return F.conv2d(x, weight, bias, shape.stride, (top, left), shape.dilation, shape.groups)


def layer_rows(layer: nn.Linear | nn.Conv2d, x: Float[Tensor, "n ..."]) -> Float[Tensor, "groups tokens k"]:
    """The input rows of the layer's flattened filters: weight.flatten(1) @ row gives the outputs of one window or token.

    Linear [.., in] -> [1, tokens, in]. Conv2d [n, c, h, w] -> [groups, n * windows, c / groups * kh * kw].

    >>> layer_rows(nn.Conv2d(2, 4, 3, groups=2), torch.zeros(5, 2, 4, 4)).shape
    torch.Size([2, 20, 9])
    """
    if isinstance(layer, nn.Linear):
        return x.reshape(1, -1, layer.in_features)
    shape = conv_shape(layer)
    # [n, c * kh * kw, windows]
    columns = F.unfold(F.pad(x, shape.pads), layer.kernel_size, layer.dilation, 0, layer.stride)
    grouped = columns.unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 2)
    return grouped.flatten(1, 2)


def layer_gram(layer: nn.Linear | nn.Conv2d, x: Float[Tensor, "n ..."]) -> Float[Tensor, "groups k k"]:
    """X^T X over all input rows of the layer, for each group, in float64, as `optimal_codes` takes it.

    >>> layer_gram(nn.Linear(2, 1), torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    tensor([[[1., 2.],
             [2., 5.]]], dtype=torch.float64)
    """
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    size = layer.weight[0].numel()
    total = torch.zeros(groups, size, size, dtype=torch.float64, device=x.device)
    for part in x.split(GRAM_BATCH):
        rows = layer_rows(layer, part)
        rows = rows if rows.dtype == torch.float64 else rows.float()  # sums of 16 bits would not be positive definite
        total += rows.transpose(1, 2) @ rows
    return total
