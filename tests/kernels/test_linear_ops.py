"""int8_linear, int4_linear and the sparse ops against the reference: sizes, strides, extremes, threads, bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab import kernels
from posttrain_lab.kernels import reference
from posttrain_lab.kernels.cpu import threads
from tests.kernels.cases import SIZES, codes, floats, linear_ops, pruned, two_of_four, views

pytestmark = pytest.mark.portable

NAMES = ["int8_linear", "int4_linear", "sparse_linear", "block_sparse_linear", "nm_linear"]


def wanted(name, x, weight, bias, activation="none", activations="int8"):
    if name == "int8_linear":
        return reference.int8_linear(x, weight, bias, activation)
    if name == "int4_linear":
        return reference.int4_linear(x, weight, bias, activation, activations)
    return reference.dense_linear(x, weight.dense(), bias)


def close(got, want, k):
    """float32 sums of k products, in any order: k roundings of 2^-24 of the largest partial sums."""
    torch.testing.assert_close(got, want, rtol=1e-5, atol=2e-7 * k + 2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_reference(size):
    m, k, n = size
    x, bias = floats(m, k), floats(n, seed=3)
    for name, weight in linear_ops(n, k).items():
        for offset in (bias, None):
            got = getattr(kernels, name)(x, weight, offset)
            assert got.shape == (m, n), name
            assert got.dtype == torch.float32, name
            close(got, wanted(name, x, weight, offset), k)


@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
@pytest.mark.parametrize("name", ["int8_linear", "int4_linear"])
def test_activations(name, activation):
    x, bias, weight = floats(19, 24), floats(37, seed=2), linear_ops(37, 24)[name]
    got = getattr(kernels, name)(x, weight, bias, activation)
    close(got, wanted(name, x, weight, bias, activation), 24)
    assert activation == "none" or (got.min() > -0.2 and got.max() > 0)


def test_int4_with_float_activations():
    for n in (5, 300):
        weight = kernels.Int4Weight.from_float(floats(n, 64), group=32)
        for activation in ("none", "relu", "gelu"):
            got = kernels.int4_linear(floats(7, 64, seed=1), weight, floats(n, seed=2), activation, activations="float32")
            close(got, wanted("int4_linear", floats(7, 64, seed=1), weight, floats(n, seed=2), activation, "float32"), 64)


@pytest.mark.parametrize("group", [8, 16, 40, 48, 240])
def test_groups_of_int4(group):
    x, weight = floats(9, 240), kernels.Int4Weight.from_float(floats(35, 240, seed=1), group=group)
    close(kernels.int4_linear(x, weight), wanted("int4_linear", x, weight, None), 240)


@pytest.mark.parametrize("k", [8, 64, 4096])
def test_int4_sums_are_exact_at_the_extremes(k):
    """15 * 127 in all lanes: where 16-bit sums would overflow if more than eight pairs were added."""
    x = torch.ones(5, k)
    for code in (-8, 7):
        weight = kernels.Int4Weight.from_codes(torch.full((20, k), code, dtype=torch.int8), torch.ones(20))
        assert torch.equal(kernels.int4_linear(x, weight), torch.full((5, 20), 127.0 * code * k) * (1.0 / 127))


@pytest.mark.parametrize("k", [1, 2, 63, 2049])
@pytest.mark.parametrize("code", [-128, 127])
def test_int8_sums_are_exact_at_the_extremes(k, code):
    """Where FBGEMM on AVX2 saturates. Sums of K * 127 * 128 below 2^24 are exact in float32 too."""
    for m in (1, 6):
        x = torch.full((m, k), -1.0)
        weight = kernels.Int8Weight.from_codes(torch.full((19, k), code, dtype=torch.int8), torch.ones(19))
        got = kernels.int8_linear(x, weight)
        assert torch.equal(got, torch.full((m, 19), -127.0 * code * k) * (torch.ones(1) / 127))


def test_sums_that_wrap_around_with_vnni_wrap_back():
    """Raised by 128, the sums of the longest rows pass 2^31 on the way."""
    k = kernels.LARGEST_K
    for code in (-128, 127):
        weight = kernels.Int8Weight.from_codes(torch.full((3, k), code, dtype=torch.int8), torch.ones(3))
        for m in (1, 4, 9):
            got = kernels.int8_linear(torch.ones(m, k), weight)
            torch.testing.assert_close(got, torch.full((m, 3), 1.0 * code * k), rtol=1e-6, atol=0)


@pytest.mark.parametrize("m", [3, 30])
def test_strides_do_not_matter(m):
    x, bias = floats(m, 24), floats(18, seed=1)
    for name, weight in linear_ops(18, 24).items():
        want = getattr(kernels, name)(x, weight, bias)
        for view, other in views(x).items():
            assert torch.equal(getattr(kernels, name)(other, weight, bias), want), (name, view)
        strided = torch.stack([bias, bias], 1)[:, 0]
        assert torch.equal(getattr(kernels, name)(x, weight, strided), want), name


def test_leading_axes_are_kept():
    x = floats(2, 3, 5, 24)
    for name, weight in linear_ops(10, 24).items():
        got = getattr(kernels, name)(x, weight)
        assert torch.equal(got, getattr(kernels, name)(x.reshape(-1, 24), weight).reshape(2, 3, 5, 10)), name
        assert getattr(kernels, name)(x[0, 0, 0], weight).shape == (10,), name
        assert getattr(kernels, name)(x[:0], weight).shape == (0, 3, 5, 10), name


def test_zeros_tiny_and_huge_rows():
    x = torch.stack([torch.zeros(24), torch.full((24,), 1e-40), torch.full((24,), 3e38), floats(24)])
    for name in ("int8_linear", "int4_linear"):
        weight = linear_ops(9, 24)[name]
        got = getattr(kernels, name)(x, weight)
        torch.testing.assert_close(got, wanted(name, x, weight, None), rtol=1e-5, atol=1e-5)
        assert (got[:2] == 0).all(), name


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["int8_linear", "int4_linear"])
def test_nan_and_infinity_are_errors(name, bad):
    x = floats(5, 24)
    x[3, 23] = bad
    with pytest.raises(ValueError, match=rf"{name} wants finite x, got NaN or infinity in row 3"):
        getattr(kernels, name)(x, linear_ops(9, 24)[name])


@pytest.mark.parametrize("name", ["sparse_linear", "block_sparse_linear", "nm_linear"])
def test_nan_goes_through_float_ops_row_by_row(name):
    x = floats(20, 24)
    x[3] = float("nan")
    got = getattr(kernels, name)(x, linear_ops(9, 24)[name])
    assert got[3].isnan().any()
    assert not got[torch.arange(20) != 3].isnan().any()


@pytest.mark.parametrize("name", NAMES)
def test_parts_in_threads_give_the_same(name, monkeypatch):
    for m, n in ((1, 200), (90, 70), (70, 500)):
        x, weight = floats(m, 24), linear_ops(n, 24)[name]
        want = getattr(kernels, name)(x, weight)
        with monkeypatch.context() as patch:
            patch.setattr(threads, "MACS_A_THREAD", 1)
            patch.setattr(torch, "get_num_threads", lambda: 3)
            assert torch.equal(getattr(kernels, name)(x, weight), want), (m, n)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_read_or_written_beyond_the_operands(name):
    """The operands lie in poison: reading it would show as NaN or large numbers, and the border must stay as it is."""
    for m in (1, 5, 21):
        x, weight = floats(m, 24), linear_ops(37, 24)[name]
        want = getattr(kernels, name)(x, weight)
        held = torch.full((m + 2, 24), float("nan"))
        held[1:-1] = x
        parts = {}
        for field in weight.__dataclass_fields__:
            value = getattr(weight, field)
            if isinstance(value, torch.Tensor):
                poison = float("nan") if value.is_floating_point() else 77
                room = torch.full((value.numel() + 128,), poison, dtype=value.dtype)
                room[64:-64] = value.flatten()
                value = room[64:-64].view(value.shape)
            parts[field] = value
        assert torch.equal(getattr(kernels, name)(held[1:-1], type(weight)(**parts)), want), m
        assert held[0].isnan().all()
        assert held[-1].isnan().all()


def test_widest_and_narrowest_sparse_rows():
    for kept in (0.0, 1.0):
        for m in (1, 3, 16, 17, 65):
            weight, x = pruned(21, 50, kept), floats(m, 50)
            for name, packed in (
                ("sparse_linear", kernels.SparseWeight.from_float(weight)),
                ("block_sparse_linear", kernels.BlockSparseWeight.from_float(weight, 16)),
            ):
                close(getattr(kernels, name)(x, packed), x @ weight.T, 50)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 70), st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**31 - 1), st.floats(0, 1))
def test_sparse_laws(m, k, n, seed, kept):
    weight, x = pruned(n, k, kept, seed), floats(m, k, seed=seed)
    want = x @ weight.T
    close(kernels.sparse_linear(x, kernels.SparseWeight.from_float(weight)), want, k)
    for block in (4, 8, 16, 32):
        close(kernels.block_sparse_linear(x, kernels.BlockSparseWeight.from_float(weight, block)), want, k)
    four = two_of_four(n, 4 * k, seed)
    wide = floats(m, 4 * k, seed=seed)
    close(kernels.nm_linear(wide, kernels.NMWeight.from_float(four)), wide @ four.T, 4 * k)


def test_agrees_with_scipy():
    from scipy import sparse

    weight, x = pruned(40, 60), floats(33, 60)
    theirs = sparse.csr_matrix(weight.numpy())
    packed = kernels.SparseWeight.from_csr(
        torch.from_numpy(theirs.data), torch.from_numpy(theirs.indices), torch.from_numpy(theirs.indptr), 60
    )
    close(kernels.sparse_linear(x, packed), torch.from_numpy((theirs @ x.numpy().T).T.copy()), 60)


W8, W4 = kernels.Int8Weight.from_float(torch.ones(3, 8)), kernels.Int4Weight.from_float(torch.ones(3, 8), 8)
CSR = kernels.SparseWeight.from_float(torch.ones(3, 8))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: kernels.int8_linear(torch.ones(2, 8).double(), W8),
            TypeError,
            "int8_linear wants x in float32, got torch.float64",
        ),
        (lambda: kernels.int8_linear(codes(2, 8), W8), TypeError, "got torch.int8"),
        (lambda: kernels.int8_linear([1.0], W8), TypeError, "got list"),
        (lambda: kernels.int8_linear(torch.ones(2, 7), W8), ValueError, r"wants x \[\.\.\., 8\] for this weight, got \(2, 7\)"),
        (lambda: kernels.int8_linear(torch.tensor(1.0), W8), ValueError, r"got \(\)"),
        (
            lambda: kernels.int8_linear(torch.ones(2, 8), torch.ones(3, 8)),
            TypeError,
            "a torch.float32 tensor; make one with Int8W",
        ),
        (lambda: kernels.int8_linear(torch.ones(2, 8), W4), TypeError, "wants weight as Int8Weight, got Int4Weight"),
        (lambda: kernels.int8_linear(torch.ones(2, 8), W8, torch.ones(2)), ValueError, r"wants bias \[3\], got \(2,\)"),
        (
            lambda: kernels.int8_linear(torch.ones(2, 8), W8, torch.ones(3).half()),
            TypeError,
            "wants bias in float32, got torch.float16",
        ),
        (lambda: kernels.int8_linear(torch.ones(2, 8), W8, None, "tanh"), ValueError, "one of none, relu, gelu, got 'tanh'"),
        (lambda: kernels.int8_linear(torch.ones(2, 8, device="meta"), W8), ValueError, "wants one device, got meta and cpu"),
        (lambda: kernels.int4_linear(torch.ones(2, 8), W4, activations="int4"), ValueError, "int8, float32, got 'int4'"),
        (lambda: kernels.int4_linear(torch.ones(2, 8), W8), TypeError, "int4_linear wants weight as Int4Weight"),
        (lambda: kernels.sparse_linear(torch.ones(2, 9), CSR), ValueError, r"sparse_linear wants x \[\.\.\., 8\]"),
        (lambda: kernels.nm_linear(torch.ones(2, 8), CSR), TypeError, "nm_linear wants weight as NMWeight, got SparseWeight"),
        (lambda: kernels.block_sparse_linear(torch.ones(2, 8), CSR), TypeError, "BlockSparseWeight"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_gradient_comes_through():
    x = floats(2, 8).requires_grad_()
    assert not kernels.int8_linear(x, W8).requires_grad
    assert not kernels.sparse_linear(x, CSR).requires_grad


def test_int8_linear_is_close_to_the_float_layer():
    layer, x = nn.Linear(256, 64), floats(32, 256)
    got, want = kernels.int8_linear(x, kernels.Int8Weight.from_float(layer.weight), layer.bias.detach()), layer(x).detach()
    assert (got - want).norm() / want.norm() < 0.02
