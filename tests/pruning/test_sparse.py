"""Sparse storage and products against scipy; bytes against the arrays themselves; files against what went in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.compile_for_speed import compile_for_speed
from posttrain_lab.kernels.layers import BlockSparseLinear, NMLinear, SparseLinear
from posttrain_lab.models import fashion_cnn, fashion_resnet, fashion_vit
from posttrain_lab.pruning import (
    BreakEvenGrid,
    PruningConfig,
    WorkBudget,
    csr_matmul,
    find_groups,
    load_pruned,
    measure_break_even,
    model_stored_bytes,
    prune_model,
    prune_units,
    remove_units,
    save_pruned,
    stored_bytes,
    to_csr,
    use_sparse_layers,
)

pytestmark = pytest.mark.portable

scipy_sparse = pytest.importorskip("scipy.sparse")
SIZES = st.integers(1, 9)


def sparse(out: int, inputs: int, share: float, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(out, inputs, generator=rng) * (torch.rand(out, inputs, generator=rng) < share)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.floats(0, 1), st.integers(0, 1000))
def test_csr_equals_scipy(out, inputs, batch, share, seed):
    weight = sparse(out, inputs, share, seed)
    values, columns, pointers = to_csr(weight)
    want = scipy_sparse.csr_matrix(weight.numpy())
    assert np.array_equal(values.numpy(), want.data)
    assert np.array_equal(columns.numpy(), want.indices)
    assert np.array_equal(pointers.numpy(), want.indptr)
    x = torch.randn(inputs, batch, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(csr_matmul((values, columns, pointers), x), torch.from_numpy(want @ x.numpy()), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 1000))
def test_bytes_are_those_of_the_arrays(out, inputs, share, seed):
    weight = sparse(out, inputs, share, seed)
    found, oracle = stored_bytes(weight, block=4), scipy_sparse.csr_matrix(weight.numpy())
    assert found["dense"] == weight.numpy().nbytes
    assert found["csr"] == oracle.data.nbytes + oracle.indices.nbytes + oracle.indptr.nbytes
    kept = (weight != 0).numpy()
    assert found["bitmask"] == 4 * kept.sum() + np.packbits(kept.reshape(-1)).nbytes
    padded = np.zeros((-(-out // 4) * 4, -(-inputs // 4) * 4), dtype=np.float32)
    padded[:out, :inputs] = weight.numpy()
    blocks = scipy_sparse.bsr_matrix(padded, blocksize=(4, 4))
    blocks.eliminate_zeros()
    full = sum(bool(block.any()) for block in blocks.data)
    assert found["block"] == full * (64 + 4) + 4 * (padded.shape[0] // 4 + 1)


def test_bytes_of_two_of_four():
    weight = prune_model(nn.Sequential(nn.Linear(8, 3)), PruningConfig(pattern="nm")).model[0].weight
    assert stored_bytes(weight)["nm"] == 3 * 2 * (2 * 4 + 1)
    assert "nm" not in stored_bytes(torch.ones(3, 8))
    model = nn.Sequential(nn.Linear(8, 3))
    assert model_stored_bytes(model) == 4 * 27


def test_broken_arrays_are_named():
    values, columns, pointers = to_csr(torch.eye(3))
    with pytest.raises(ValueError, match=r"columns in 0\.\.1, got up to 2; is x transposed"):
        csr_matmul((values, columns, pointers), torch.ones(2, 3))
    with pytest.raises(ValueError, match="arrays that fit together"):
        csr_matmul((values, columns, pointers[:-1]), torch.ones(3, 3))
    with pytest.raises(ValueError, match="a weight with 2 axes"):
        to_csr(torch.ones(3))


@pytest.mark.parametrize(
    ("kind", "layer", "config"),
    [
        ("csr", SparseLinear, PruningConfig(0.9, "layer")),
        ("nm", NMLinear, PruningConfig(pattern="nm")),
        ("block", BlockSparseLinear, PruningConfig(0.8, "block", block=4)),
    ],
)
def test_pruned_networks_run_on_the_kernels(kind, layer, config):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
    pruned, x = prune_model(model, config).model.eval(), torch.rand(5, 64)
    fast = use_sparse_layers(pruned, kind, **({"block": 4} if kind == "block" else {}))
    assert type(fast[0]) is layer
    assert type(pruned[0]) is nn.Linear
    assert torch.allclose(fast(x), pruned(x), atol=1e-5)
    compiled = compile_for_speed(pruned, x, kinds=("sparse", "nm", "block_sparse"), repeats=2)
    assert torch.allclose(compiled.model(x), pruned(x), atol=1e-5)


def test_a_layer_that_is_not_pruned_as_wanted_is_named():
    with pytest.raises(ValueError, match="cannot make layer '1' sparse"):
        use_sparse_layers(nn.Sequential(nn.ReLU(), nn.Linear(8, 2)), "nm")
    with pytest.raises(ValueError, match="kind to be one of csr, block, nm"):
        use_sparse_layers(nn.Linear(8, 2), "coo")


NETWORKS = {"cnn": fashion_cnn, "resnet": fashion_resnet, "vit": fashion_vit}


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_and_loaded_networks_are_the_same(name, tmp_path):
    """Channels removed, then half of the weights masked: every number comes back, and the file is no larger than it must be."""
    x = torch.rand(2, 1, 28, 28)
    model = NETWORKS[name]().eval()
    groups = find_groups(model, x)
    small = remove_units(model, groups, {group.name: torch.arange(len(group)) % 4 != 0 for group in groups}, x)
    pruned = prune_model(small, PruningConfig(0.8)).model
    loaded = load_pruned(save_pruned(pruned, tmp_path / "net.safetensors"), NETWORKS[name]())
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in pruned.state_dict().items())
    assert torch.equal(loaded(x), pruned(x))
    dense = sum(value.numel() * value.element_size() for value in pruned.state_dict().values())
    assert (tmp_path / "net.safetensors").stat().st_size < 0.5 * dense + 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_depthwise_groups_come_back(tmp_path):
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Flatten()).eval()
    x = torch.rand(1, 1, 6, 6)
    groups = find_groups(dense, x)
    small = remove_units(dense, groups, {groups[0].name: torch.arange(8) < 3}, x)
    assert (small[1].groups, small[1].in_channels, small[1].out_channels) == (3, 3, 3)
    assert torch.equal(load_pruned(save_pruned(small, tmp_path / "net"), dense)(x), small(x))


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = save_pruned(fashion_cnn(), tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"hold a network like the one given|at least as wide"):
        load_pruned(path, fashion_resnet())
    with pytest.raises(ValueError, match="at least as wide as the saved one"):
        load_pruned(path, prune_units(fashion_cnn(), torch.rand(1, 1, 28, 28), WorkBudget(0.5, "uniform")))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"net\.safetensors, which is damaged"):
        load_pruned(path, fashion_cnn())
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_pruned(tmp_path / "nothing", fashion_cnn())
    with pytest.raises(OSError, match="cannot write"):
        save_pruned(fashion_cnn(), tmp_path / "no" / "folder")


def test_break_even_map_is_measured():
    grid = BreakEvenGrid(sizes=((16, 32),), batches=(1, 4), sparsities=(0.5, 0.9), repeats=2)
    rows = measure_break_even(grid, progress=False)
    assert [(row.out, row.inputs, row.sparsity, row.batch) for row in rows] == [
        (16, 32, 0.5, 1),
        (16, 32, 0.5, 4),
        (16, 32, 0.9, 1),
        (16, 32, 0.9, 4),
    ]
    assert all(min(row.dense, row.torch_csr, row.ours) > 0 and row.speedup == row.dense / row.ours for row in rows)
    with pytest.raises(ValueError, match="sizes, batches and sparsities"):
        BreakEvenGrid(batches=())
