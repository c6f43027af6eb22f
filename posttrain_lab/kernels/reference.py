"""What each kernel means, in plain torch: exact, slow, short. Every implementation must give the same numbers.

Names are those of `posttrain_lab.kernels`, which checks the arguments. Integer results are equal; float results differ
by the order of their sums alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .packed import Int4Weight, Int8ConvWeight, Int8Weight

ACTIVATIONS = {"none": lambda y: y, "relu": F.relu, "gelu": F.gelu}


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    """a (M, K) int8, b (K, N) int8 -> a @ b (M, N) int32, summed in int64 and narrowed at the end.

    >>> int8_matmul(torch.tensor([[-128, 3]], dtype=torch.int8), torch.tensor([[-128], [5]], dtype=torch.int8))
    tensor([[16399]], dtype=torch.int32)
    """
    return (a.to(torch.int64) @ b.to(torch.int64)).to(torch.int32)


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [M, K] -> codes int8 [M, K], scale [M]: scale = max |row| / 127, codes = round(x * (127 / max |row|)).

    A row of zeros has scale 0 and codes 0. An all but vanishing row (127 / max overflows) counts as zeros.

    >>> quantize_rows(torch.tensor([[0.5, -1.0]]))
    (tensor([[  64, -127]], dtype=torch.int8), tensor([0.0079]))
    """
    largest = x.abs().amax(1) if x.shape[1] else x.new_zeros(len(x))
    inverse = torch.full_like(largest, 127.0) / largest  # `127 / largest` would be 127 * (1 / largest), rounded twice
    usable = torch.isfinite(inverse)
    codes = torch.round(x * torch.where(usable, inverse, 0)[:, None])
    return codes.to(torch.int8), torch.where(usable, largest / 127, 0)


def int8_linear(x: Tensor, weight: Int8Weight, bias: Tensor | None, activation: str) -> Tensor:
    """x [M, K] float -> quantize_rows, exact int32 sums, times both scales, plus bias, activation: [M, N] float32."""
    codes, scale = quantize_rows(x)
    y = int8_matmul(codes, weight.rows().T).float() * (scale[:, None] * weight.scale)
    return ACTIVATIONS[activation](y if bias is None else y + bias)


def int8_conv2d(
    x: Tensor,
    weight: Int8ConvWeight,
    stride: int,
    padding: int,
    pad_value: int,
    scale: Tensor | None,
    bias: Tensor | None,
    activation: str,
) -> Tensor:
    """x [n, h, w, c] int8 -> exact sums int32 [n, oh, ow, out], the border `pad_value`; with `scale` [n] scaled, plus bias, activation."""
    image = F.pad(x.permute(0, 3, 1, 2).to(torch.float64), [padding] * 4, value=pad_value)
    sums = F.conv2d(image, weight.filters().to(torch.float64), stride=stride, groups=weight.groups).permute(0, 2, 3, 1)
    if scale is None or weight.scale is None:
        return sums.to(torch.int32).contiguous()
    y = sums.float().contiguous() * (scale[:, None, None, None] * weight.scale)
    return ACTIVATIONS[activation](y if bias is None else y + bias)


def int4_linear(x: Tensor, weight: Int4Weight, bias: Tensor | None, activation: str, activations: str) -> Tensor:
    """x [M, K] float -> [M, N] float32: with activations "float32" x @ dense.T; with "int8" exact sums for each group."""
    if activations == "float32":
        y = x @ weight.dense().T
    else:
        codes, scale = quantize_rows(x)
        split = (-1, len(weight.scale), weight.group)
        sums = torch.einsum("mgk,ngk->gmn", codes.reshape(split).double(), weight.rows().reshape(split).double())
        y = (sums * weight.scale[:, None, : weight.out_features]).sum(0).float() * scale[:, None]
    return ACTIVATIONS[activation](y if bias is None else y + bias)


def dense_linear(x: Tensor, dense: Tensor, bias: Tensor | None) -> Tensor:
    """sparse_linear, block_sparse_linear and nm_linear: x [M, K] float32 times the transposed dense weight, plus bias."""
    return F.linear(x, dense, bias)
