"""Operands for the kernel tests: seeded, of any size, with what usually breaks kernels in them."""

import torch
from torch import Tensor

from posttrain_lab import kernels

SIZES = [(1, 1, 1), (2, 3, 2), (3, 5, 7), (4, 33, 16), (5, 16, 17), (63, 7, 33), (64, 65, 32), (67, 64, 31), (130, 40, 49)]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def floats(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


def codes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(-128, 128, shape, generator=generator(seed), dtype=torch.int8)


def pruned(n: int, k: int, kept: float = 0.2, seed: int = 0) -> Tensor:
    """A weight with zeros, an empty row, and a full one."""
    weight = floats(n, k, seed=seed) * (torch.rand((n, k), generator=generator(seed + 1)) < kept)
    weight[n // 2] = 0
    weight[-1] = 1.5
    return weight


def two_of_four(n: int, k: int, seed: int = 0) -> Tensor:
    """A weight with 2:4 sparsity, some groups emptier."""
    kept = torch.rand((n, k // 4, 4), generator=generator(seed)).topk(2).indices
    weight = floats(n, k // 4, 4, seed=seed + 1) * torch.zeros(n, k // 4, 4).scatter_(2, kept, 1.0)
    weight[:, 0] = 0
    return weight.reshape(n, k)


def views(x: Tensor) -> dict[str, Tensor]:
    """The same numbers in memory of other shapes."""
    wide = torch.zeros(2 * x.shape[0], 3 * x.shape[1] + 1, dtype=x.dtype)
    wide[::2, 1::3] = x
    odd = torch.cat([x.flatten()[:1], x.flatten()])[1:].view(x.shape)
    return {"transposed": x.T.contiguous().T, "strided": wide[::2, 1::3], "odd offset": odd}


def linear_ops(n: int, k: int) -> dict:
    """Each op on floats that fits this size, as name -> (op(x, bias), dense weight that it stands for)."""
    sparse = pruned(n, k)
    made = {
        "int8_linear": kernels.Int8Weight.from_float(floats(n, k, seed=5)),
        "sparse_linear": kernels.SparseWeight.from_float(sparse),
        "block_sparse_linear": kernels.BlockSparseWeight.from_float(sparse, block=4),
    }
    if k % 8 == 0:
        made["int4_linear"] = kernels.Int4Weight.from_float(floats(n, k, seed=6), group=8)
    if k % 4 == 0:
        made["nm_linear"] = kernels.NMWeight.from_float(two_of_four(n, k))
    return made
