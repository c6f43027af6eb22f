"""Kernels: one contract for each operation, checked once; the tensor's device picks the implementation.

| file           | what it is                                                    | loaded                  |
|----------------|---------------------------------------------------------------|-------------------------|
| `reference.py` | the meaning, in plain torch, exact                            | now                     |
| `cpu/`         | Numba: SIMD kernels compiled on this machine at the first use | at the first CPU tensor |

A device without an implementation is an error that names it, never a quiet copy to another device.
"""

import torch
from jaxtyping import Int8, Int32
from torch import Tensor

from . import reference as reference

LARGEST_K = 131_071  # (-128) * (-128) * K must stay below 2^31


# torch.library.custom_op says the same shorter, but its first call imports torch's compiler: 1,000 modules, seconds
_LIBRARY = torch.library.Library("posttrain_lab", "FRAGMENT")
_LIBRARY.define("int8_matmul(Tensor a, Tensor b) -> Tensor")


@torch.library.impl(_LIBRARY, "int8_matmul", "CPU")
def _int8_matmul_cpu(a: Tensor, b: Tensor) -> Tensor:
    try:
        from . import cpu
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"int8_matmul on the cpu wants {error.name}, which is not installed; pip install numba.", name=error.name
        ) from error
    return cpu.int8_matmul(a, b)


@torch.library.register_fake("posttrain_lab::int8_matmul", lib=_LIBRARY)
def _int8_matmul_shape(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((a.shape[0], b.shape[1]), dtype=torch.int32)


def int8_matmul(a: Int8[Tensor, "m k"], b: Int8[Tensor, "k n"]) -> Int32[Tensor, "m n"]:
    """What is the exact product of two int8 matrices?

    c[i, j] = sum_k a[i, k] * b[k, j]

    a (M, K) int8, b (K, N) int8, on one device, of any strides; M, N and K may be 0. Result (M, N) int32.
    All arithmetic is on integers: products of 16-bit numbers, sums of 32 bits. Fastest when b is the transpose of a
    contiguous matrix, as in `x @ weight.T`.

    Raises TypeError for other dtypes; ValueError for other shapes, two devices, or K above 131,071, where a sum of
    extremes would pass 2^31; NotImplementedError for a device without an implementation.

    >>> int8_matmul(torch.tensor([[127, 127]], dtype=torch.int8), torch.tensor([[127], [127]], dtype=torch.int8))
    tensor([[32258]], dtype=torch.int32)
    """
    _check_operands(a, b)
    return torch.ops.posttrain_lab.int8_matmul.default(a, b)


def _check_operands(a: Tensor, b: Tensor) -> None:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        raise TypeError(f"int8_matmul wants two tensors, got {type(a).__name__} and {type(b).__name__}.")
    if a.dtype != torch.int8 or b.dtype != torch.int8:
        raise TypeError(f"int8_matmul wants two int8 matrices, got {a.dtype} and {b.dtype}; quantize first.")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(
            f"int8_matmul wants shapes (M, K) and (K, N), got {tuple(a.shape)} and {tuple(b.shape)}; "
            "flatten leading axes, or transpose one of the matrices."
        )
    if a.device != b.device:
        raise ValueError(f"int8_matmul wants one device, got {a.device} and {b.device}; move one with .to().")
    if a.shape[1] > LARGEST_K:
        raise ValueError(
            f"int8_matmul wants K up to {LARGEST_K} so that int32 holds every sum, got {a.shape[1]}; "
            "multiply in slices of K and add the parts in int64."
        )
    if a.device.type not in ("cpu", "meta"):
        raise NotImplementedError(
            f"int8_matmul wants tensors on the cpu, got {a.device}; there is no kernel for {a.device.type} yet, "
            "so move both with .cpu()."
        )
