"""sparse_linear, block_sparse_linear and nm_linear in Triton, against the dense layer."""

import pytest
import torch
from gpu_cases import SIZES, among, close, floats, generator, optional, packed_among, results  # noqa: F401

pytest.importorskip("triton")
from posttrain_lab.kernels import gpu, reference
from posttrain_lab.kernels.sparse_weights import BlockSparseWeight, NMWeight, SparseWeight


def pruned(n: int, k: int) -> torch.Tensor:
    """A weight with zeros, an empty row, and a full one."""
    weight = floats(n, k, seed=1) * (torch.rand((n, k), generator=generator(2)) < 0.2)
    weight[n // 2] = 0
    weight[-1] = 1.5
    return weight


def two_of_four(n: int, k: int) -> torch.Tensor:
    """A weight with 2:4 sparsity, its first groups empty, the next with one weight."""
    kept = torch.rand((n, k // 4, 4), generator=generator(2)).topk(2).indices
    weight = floats(n, k // 4, 4, seed=1) * torch.zeros(n, k // 4, 4).scatter_(2, kept, 1.0)
    weight[:, 0] = 0
    weight[:, 1:2, :3] = 0
    return weight.reshape(n, k)


def check(op, packed, weight, m, device):
    """Both layouts of x, with and without bias."""
    n, k = weight.shape
    x = floats(m, k)
    for bias in (None, floats(n, seed=3)):
        want = reference.dense_linear(x, weight, bias)
        for view in (among(x, device), among(x.T.contiguous(), device).T):
            got = op(view, packed, optional(among, bias, device))
            assert got.is_contiguous() or got.stride(-1) == 1
            assert close(got, want, x, weight, bias)
    assert op(x[:0].to(device), packed, None).shape == (0, n)


@pytest.mark.parametrize(("m", "n", "k"), [*SIZES, (70, 3, 200)])
def test_sparse_equals_dense(m, n, k, device, results):  # noqa: F811
    weight = pruned(n, k)
    made = SparseWeight.from_float(weight)
    packed = SparseWeight(*(packed_among(part, device) for part in (made.values, made.columns, made.row_pointers)), k)
    check(gpu.sparse_linear, packed, weight, m, device)
    assert results.unharmed()


@pytest.mark.parametrize("block", [4, 8, 16, 32])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (17, 33, 65), (65, 16, 32)])
def test_blocks_equal_dense(m, n, k, block, device, results):  # noqa: F811
    weight = pruned(n, k)
    weight[: min(n, block) - (n <= block)] = 0  # the first row of blocks is empty, unless it holds the full row
    made = BlockSparseWeight.from_float(weight, block)
    parts = (packed_among(part, device) for part in (made.values, made.columns, made.row_pointers))
    check(gpu.block_sparse_linear, BlockSparseWeight(*parts, n, k), weight, m, device)
    assert results.unharmed()


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 4), (3, 17, 8), (17, 33, 68), (33, 5, 132)])
def test_two_of_four_equals_dense(m, n, k, device, results):  # noqa: F811
    weight = two_of_four(n, k)
    made = NMWeight.from_float(weight)
    packed = NMWeight(packed_among(made.values, device), packed_among(made.positions, device))
    check(gpu.nm_linear, packed, weight, m, device)
    assert results.unharmed()


def test_a_weight_of_zeros(device):
    zeros, x, bias = torch.zeros(5, 8), floats(3, 8).to(device), floats(5).to(device)
    made, blocks = SparseWeight.from_float(zeros), BlockSparseWeight.from_float(zeros, 4)
    sparse = SparseWeight(*(part.to(device) for part in (made.values, made.columns, made.row_pointers)), 8)
    tall = BlockSparseWeight(*(part.to(device) for part in (blocks.values, blocks.columns, blocks.row_pointers)), 5, 8)
    for got in (gpu.sparse_linear(x, sparse, bias), gpu.block_sparse_linear(x, tall, bias)):
        assert torch.equal(got, bias.expand(3, 5))
