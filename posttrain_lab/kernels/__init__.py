"""Kernels: one contract for each operation, checked once; the tensor's device picks the implementation.

| file                             | what it is                                                     | loaded                  |
|----------------------------------|----------------------------------------------------------------|-------------------------|
| `packed.py`, `sparse_weights.py` | weights as the kernels read them                               | now                     |
| `validation.py`, `operators.py`  | the checks of all ops; the ops as torch sees them              | now                     |
| `geometry.py`                    | sizes that follow from sizes                                   | now                     |
| `processor.py`                   | what the processor multiplies at once                          | at the first packing    |
| `panel_layout.py`                | how int8 codes lie in memory for the CPU                       | now                     |
| `views_cache.py`                 | numpy views of a packed weight, cached after its first call    | now                     |
| `reference.py`                   | the meaning, in plain torch                                    | now                     |
| `cpu/`                           | Numba: SIMD kernels, compiled on this machine at the first use | at the first CPU tensor |
| `gpu/`                           | Triton: the same ops                                           | at the first GPU tensor |
| `layers.py`                      | layers on these ops                                            | when imported           |

A device without an implementation is an error that names it, never a quiet copy to another device. No op has a gradient.
"""

import torch  # noqa: F401 - the examples below use it
from jaxtyping import Float, Int8, Int32
from torch import Tensor

from . import reference as reference
from .operators import call, fast_path
from .packed import Int4Weight, Int8ConvWeight, Int8Weight
from .sparse_weights import BlockSparseWeight, NMWeight, SparseWeight
from .validation import LARGEST_K as LARGEST_K
from .validation import as_batch, as_rows, check_conv, check_linear, check_matrices

__all__ = [
    "BlockSparseWeight",
    "Int4Weight",
    "Int8ConvWeight",
    "Int8Weight",
    "NMWeight",
    "SparseWeight",
    "block_sparse_linear",
    "int4_linear",
    "int8_conv2d",
    "int8_linear",
    "int8_matmul",
    "nm_linear",
    "sparse_linear",
]


def int8_matmul(a: Int8[Tensor, "m k"], b: Int8[Tensor, "k n"]) -> Int32[Tensor, "m n"]:
    """What is the exact product of two int8 matrices?

    c[i, j] = sum_k a[i, k] * b[k, j]

    a (M, K) int8, b (K, N) int8, on one device, of any strides; M, N and K may be 0. Result (M, N) int32.
    All arithmetic is on integers: products of 16-bit numbers (of bytes, where the processor has VNNI), sums of 32 bits. Fastest when b
    is the transpose of a contiguous matrix, as in `x @ weight.T`.

    Raises TypeError for other dtypes; ValueError for other shapes, two devices, or K above 131,071, where a sum of
    extremes would pass 2^31; NotImplementedError for a device without an implementation.

    >>> int8_matmul(torch.tensor([[127, 127]], dtype=torch.int8), torch.tensor([[127], [127]], dtype=torch.int8))
    tensor([[32258]], dtype=torch.int32)
    """
    check_matrices("int8_matmul", a, b)
    return call("int8_matmul", a, b)


def int8_linear(
    x: Float[Tensor, "*batch k"], weight: Int8Weight, bias: Float[Tensor, " n"] | None = None, activation: str = "none"
) -> Float[Tensor, "*batch n"]:
    """What does a linear layer give when its inputs are rounded to int8 on the way in?

    scale_x = max |row of x| / 127, codes = round(x * (127 / max |row|)); y = sum_k codes * weight.codes, exactly in int32,
    times scale_x * weight.scale, plus bias; then the activation: none, relu or gelu.

    x float32 [..., K], weight from `Int8Weight.from_float`, bias float32 [N]; result float32 [..., N].
    Raises TypeError for other dtypes, ValueError for other shapes, NaN or infinity in x, K above 131,071, or two devices.
    Source: dynamic quantization as in Zafrir et al. 2019, "Q8BERT".

    >>> weight = Int8Weight.from_float(torch.tensor([[1.0, -2.0], [0.5, 0.5]]))
    >>> int8_linear(torch.tensor([[1.0, 0.5]]), weight)
    tensor([[0.0000, 0.7520]])
    """
    y = fast_path("int8_linear", x, weight, bias, activation)
    if y is not None:
        return y
    check_linear("int8_linear", x, weight, Int8Weight, bias, activation=activation)
    return as_batch(call("int8_linear", as_rows(x), weight, bias, activation), x)


def int8_conv2d(
    x: Int8[Tensor, "n h w c"],
    weight: Int8ConvWeight,
    stride: int = 1,
    padding: int = 0,
    pad_value: int = 0,
    scale: Float[Tensor, " n"] | None = None,
    bias: Float[Tensor, " out"] | None = None,
    activation: str = "none",
) -> Int32[Tensor, "n oh ow out"] | Float[Tensor, "n oh ow out"]:
    """What are the sums of a convolution over int8 codes, channels last?

    sums[n, i, j, o] = sum over (a, b, c) of x[n, i * stride + a - padding, j * stride + b - padding, c] * weight[o, c, a, b],
    exactly in int32; beyond the border x is `pad_value`, the code of 0. Output channels of group g see the input channels of g.
    With `scale`, one number for each image: sums * scale[n] * weight.scale + bias, then the activation, in float32.

    Raises TypeError for other dtypes, ValueError for other shapes, sums that int32 may not hold, or an image below the filter.

    >>> image, weight = torch.ones(1, 3, 3, 2, dtype=torch.int8), Int8ConvWeight.from_float(torch.ones(1, 2, 3, 3))
    >>> int8_conv2d(image, weight)
    tensor([[[[2286]]]], dtype=torch.int32)
    """
    y = fast_path("int8_conv2d", x, weight, stride, padding, pad_value, scale, bias, activation)
    if y is not None:
        return y
    check_conv(x, weight, (stride, padding, pad_value), scale, bias, activation)
    return call("int8_conv2d", x, weight, stride, padding, pad_value, scale, bias, activation)


def int4_linear(
    x: Float[Tensor, "*batch k"],
    weight: Int4Weight,
    bias: Float[Tensor, " n"] | None = None,
    activation: str = "none",
    activations: str = "int8",
) -> Float[Tensor, "*batch n"]:
    """What does a linear layer give whose weights have 4 bits, with a scale for each group of inputs?

    "int8": x is rounded row by row as in `int8_linear`; y = sum over groups of (exact sum of codes) * weight.scale[group],
    times scale_x, plus bias. "float32": x stays as it is and meets the weight that the codes stand for.

    x float32 [..., K], weight from `Int4Weight.from_float`, bias float32 [N]; result float32 [..., N].
    Raises TypeError for other dtypes, ValueError for other shapes, two devices, or, with "int8", NaN or infinity in x.

    >>> weight = Int4Weight.from_float(torch.ones(1, 8), group=8)
    >>> int4_linear(torch.ones(1, 8), weight)
    tensor([[8.]])
    """
    y = fast_path("int4_linear", x, weight, bias, activation, activations)
    if y is not None:
        return y
    check_linear("int4_linear", x, weight, Int4Weight, bias, activation=activation, activations=activations)
    return as_batch(call("int4_linear", as_rows(x), weight, bias, activation, activations), x)


def sparse_linear(
    x: Float[Tensor, "*batch k"], weight: SparseWeight, bias: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "*batch n"]:
    """What does a pruned linear layer give, computed from the weights that are left? y = x @ weight.T + bias.

    x float32 [..., K], weight from `SparseWeight.from_float` or `from_csr`; result float32 [..., N].
    Raises TypeError for other dtypes, ValueError for other shapes or two devices.

    >>> sparse_linear(torch.tensor([[1.0, 2.0]]), SparseWeight.from_float(torch.tensor([[0.0, 3.0], [0.0, 0.0]])))
    tensor([[6., 0.]])
    """
    check_linear("sparse_linear", x, weight, SparseWeight, bias)
    return as_batch(call("sparse_linear", as_rows(x), weight, bias), x)


def block_sparse_linear(
    x: Float[Tensor, "*batch k"], weight: BlockSparseWeight, bias: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "*batch n"]:
    """What does a linear layer give of which only some square blocks are left? y = x @ weight.T + bias.

    x float32 [..., K], weight from `BlockSparseWeight.from_float`; result float32 [..., N].
    Raises TypeError for other dtypes, ValueError for other shapes or two devices.

    >>> block_sparse_linear(torch.ones(1, 4), BlockSparseWeight.from_float(torch.eye(4), block=4))
    tensor([[1., 1., 1., 1.]])
    """
    check_linear("block_sparse_linear", x, weight, BlockSparseWeight, bias)
    return as_batch(call("block_sparse_linear", as_rows(x), weight, bias), x)


def nm_linear(
    x: Float[Tensor, "*batch k"], weight: NMWeight, bias: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "*batch n"]:
    """What does a linear layer with 2:4 sparsity give? y = x @ weight.T + bias, over two of each four inputs.

    x float32 [..., K], weight from `NMWeight.from_float`; result float32 [..., N].
    Raises TypeError for other dtypes, ValueError for other shapes or two devices.
    Source: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks".

    >>> nm_linear(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), NMWeight.from_float(torch.tensor([[0.0, 1.0, 0.0, 1.0]])))
    tensor([[6.]])
    """
    check_linear("nm_linear", x, weight, NMWeight, bias)
    return as_batch(call("nm_linear", as_rows(x), weight, bias), x)
