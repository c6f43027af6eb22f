"""int8_matmul, int8_linear and the rounding of activations, in Triton, against the reference."""

import math

import pytest
import torch
from gpu_cases import SIZES, among, close, codes, floats, launched, results  # noqa: F401

pytest.importorskip("triton")
from posttrain_lab.kernels import gpu, reference
from posttrain_lab.kernels.gpu import int8, quantize
from posttrain_lab.kernels.packed import Int8Weight


def weight(n: int, k: int, device: str) -> Int8Weight:
    """A weight in rows, as it lies on a GPU, among poison."""
    return Int8Weight(among(codes(n, k, seed=1), device), among(floats(n, seed=2).abs() + 0.01, device), k)


def on_cpu(packed: Int8Weight) -> Int8Weight:
    return Int8Weight(packed.codes.cpu(), packed.scale.cpu(), packed.in_features)


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_matmul_equals_the_reference(m, n, k, device, results):  # noqa: F811
    a, b = codes(m, k), codes(k, n, seed=1)
    want = reference.int8_matmul(a, b)
    for right in (among(b, device), among(b.T.contiguous(), device).T):
        got = gpu.int8_matmul(among(a, device), right)
        assert got.dtype == torch.int32
        assert torch.equal(got.cpu(), want)
    assert results.unharmed()


@pytest.mark.parametrize(("m", "n"), [(100, 70), (560, 33), (33, 560)])
def test_matmul_of_many_tiles(m, n, device, results):  # noqa: F811
    """More than eight tiles of rows, and tiles that stick out, in the order of `tile_of`."""
    a, b = codes(m, 40), codes(40, n, seed=1)
    assert torch.equal(gpu.int8_matmul(among(a, device), among(b, device)).cpu(), reference.int8_matmul(a, b))
    assert results.unharmed()


@pytest.mark.parametrize(("left", "right"), [(-128, -128), (-128, 127), (127, 127)])
def test_extremes_are_exact(left, right, device):
    """K at its limit: 131,071 * 2^14 is just below 2^31."""
    k = 131_071
    a, b = (torch.full(shape, value, dtype=torch.int8, device=device) for shape, value in (((1, k), left), ((k, 2), right)))
    assert gpu.int8_matmul(a, b).tolist() == [[left * right * k] * 2]


@pytest.mark.parametrize("value", [-128, 127])
def test_products_through_fp16_are_exact(value, device):
    """The tile and the products of chips before sm_80; a sum of K = 3,000 extremes would not fit float32 (2^24)."""
    m, n, k = 33, 35, 3000
    a, b = torch.full((m, k), value, dtype=torch.int8), codes(n, k)
    a[::2] = codes(1, k, seed=1)
    b[0] = value
    out = torch.empty(m, n, dtype=torch.int32, device=device)
    launch = int8.plan(among(a, device), among(b, device), out).fitted(75)
    assert launch.constants["HALF"] is True
    assert launch.kernel.default.kwargs["BK"] <= 1024
    launch.started()
    assert torch.equal(out.cpu(), reference.int8_matmul(a, b.T))


@pytest.mark.parametrize("shape", [(0, 5, 4), (4, 0, 5), (4, 5, 0), (0, 0, 0)])
def test_nothing_times_nothing(shape, device):
    m, k, n = shape
    got = gpu.int8_matmul(codes(m, k).to(device), codes(k, n).to(device))
    assert torch.equal(got.cpu(), torch.zeros(m, n, dtype=torch.int32))


def test_strides_do_not_matter(device):
    a, b = codes(9, 20), codes(20, 24, seed=1)
    want = reference.int8_matmul(a, b)
    wide = torch.full((18, 61), 127, dtype=torch.int8)
    wide[::2, 1::3] = a
    for left in (a.T.contiguous().to(device).T, wide.to(device)[::2, 1::3]):
        assert torch.equal(gpu.int8_matmul(left, b.to(device)).cpu(), want)
    row = a[:1].to(device).expand(9, 20)
    assert torch.equal(gpu.int8_matmul(row, b.to(device)).cpu(), want[:1].expand(9, 24))


@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_linear_equals_the_reference(m, n, k, activation, device, results):  # noqa: F811
    packed, x = weight(n, k, device), floats(m, k)
    for bias in (None, floats(n, seed=3)):
        got = gpu.int8_linear(among(x, device), packed, None if bias is None else among(bias, device), activation)
        want = reference.int8_linear(x, on_cpu(packed), bias, activation)
        assert torch.equal(got.cpu(), want) or (activation == "gelu" and close(got, want, x, on_cpu(packed).dense(), bias))
    assert results.unharmed()


def test_linear_of_nothing(device):
    assert gpu.int8_linear(torch.empty(0, 5, device=device), weight(3, 5, device), None, "gelu").shape == (0, 3)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("k", [8, 40, 1024, 3000])
def test_rounding_equals_the_reference(k, split, device, results):  # noqa: F811
    """Also in rows longer than a block, in columns apart, with ties, zeros, vanishing and huge numbers."""
    x = floats(6, k)
    x[0] = (torch.arange(k) % 255 - 127) / 2  # ties: the largest is 63.5 once k passes 254
    x[0, 0] = 127
    x[1] = 0
    x[2] *= 1e-38
    x[3] *= 1e37
    x[4] = -1e-40
    codes_want, scale_want = reference.quantize_rows(x)
    want = codes_want.reshape(6, -1, 2, 4).transpose(1, 2).reshape(6, k) if split else codes_want
    for view in (among(x, device), among(x.T.contiguous(), device).T):
        got, scale = quantize.quantized("op", view, split)
        assert torch.equal(got.cpu(), want)
        assert torch.equal(scale.cpu(), scale_want)
    assert results.unharmed()


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_named(bad, device):
    x = floats(5, 33)
    x[3, 32] = bad
    x[4, 0] = bad
    with pytest.raises(ValueError, match=r"int8_linear wants finite x, got NaN or infinity in row 3; look at what"):
        gpu.int8_linear(x.to(device), weight(4, 33, device), None, "none")


@pytest.mark.parametrize(("m", "rows"), [(16, 16), (17, 64)])
def test_which_tile_ran(m, rows, device, monkeypatch):
    seen = launched(monkeypatch)
    gpu.int8_matmul(codes(m, 8).to(device), codes(8, 4).to(device))
    assert [launch.kernel.default.kwargs["BM"] for launch in seen] == [rows]
