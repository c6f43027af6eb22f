"""int4_linear in Triton, against the reference."""

import math

import pytest
import torch
from gpu_cases import among, close, codes, floats, results  # noqa: F401

pytest.importorskip("triton")
from posttrain_lab.kernels import gpu, reference
from posttrain_lab.kernels.gpu import int4, quantize
from posttrain_lab.kernels.packed import Int4Weight

SIZES = [(1, 1, 8, 8), (3, 16, 128, 128), (17, 33, 192, 64), (33, 65, 48, 24), (65, 3, 64, 32), (2, 17, 256, 256)]


def weight(n: int, k: int, group: int, device: str) -> tuple[Int4Weight, Int4Weight]:
    """In rows, as it lies on a GPU, among poison; and the same on the cpu."""
    halves = (codes(n, k, seed=1, low=-8, high=7) + 8).view(torch.uint8).reshape(n, -1, 2, 4)
    packed = (halves[:, :, 0] | (halves[:, :, 1] << 4)).flatten(1)
    scale = floats(k // group, n, seed=2).abs() + 0.01
    filled = torch.nn.functional.pad(scale, (0, -n % 16), value=1.0)
    return Int4Weight(among(packed, device), among(filled, device), k, n), Int4Weight(packed, filled, k, n)


@pytest.mark.parametrize("activations", ["int8", "float32"])
@pytest.mark.parametrize(("m", "n", "k", "group"), SIZES)
def test_equals_the_reference(m, n, k, group, activations, device, results):  # noqa: F811
    packed, plain = weight(n, k, group, device)
    x = floats(m, k)
    bound = x if activations == "float32" else x.abs() + x.abs().amax(1, keepdim=True) / 254  # of the rounded x
    for activation, bias in (("none", None), ("relu", floats(n, seed=3)), ("gelu", floats(n, seed=3))):
        got = gpu.int4_linear(among(x, device), packed, None if bias is None else among(bias, device), activation, activations)
        want = reference.int4_linear(x, plain, bias, activation, activations)
        assert close(got, want, bound, plain.dense(), bias)
    assert results.unharmed()


def test_sums_of_codes_are_exact(device):
    """One group, scales of 1: the result is a whole number, equal to the reference."""
    codes_x, rows = codes(20, 512, low=-127), codes(9, 512, seed=1, low=-8, high=7)
    codes_x[:, 0] = 127  # so that the scale of each row is 1
    halves = (rows + 8).view(torch.uint8).reshape(9, -1, 2, 4)
    packed = Int4Weight(
        (halves[:, :, 0] | (halves[:, :, 1] << 4)).flatten(1).to(device), torch.ones(1, 16, device=device), 512, 9
    )
    got = gpu.int4_linear(codes_x.float().to(device), packed, None, "none", "int8")
    assert torch.equal(got.cpu(), reference.int8_matmul(codes_x, rows.T).float())


def test_products_through_fp16_give_the_same(device):
    packed, plain = weight(33, 96, 48, device)
    x, out = floats(20, 96), torch.empty(20, 33, device=device)
    rounded, scale = quantize.quantized("op", x.to(device), split=True)
    launch = int4.plan(rounded, packed, out, scale, None, "none").fitted(75)
    assert launch.constants["HALF"] is True
    launch.started()
    assert close(out, reference.int4_linear(x, plain, None, "none", "int8"), x.abs() + 0.02, plain.dense())


def test_strides_and_no_rows(device):
    packed, plain = weight(5, 16, 8, device)
    x = floats(16, 4).T
    for activations in ("int8", "float32"):
        got = gpu.int4_linear(x.to(device), packed, None, "none", activations)
        assert close(got, reference.int4_linear(x, plain, None, "none", activations), x.abs() + 0.02, plain.dense())
        assert gpu.int4_linear(x[:0].to(device), packed, None, "none", activations).shape == (0, 5)


def test_a_row_that_is_not_finite_is_named(device):
    x = floats(3, 8)
    x[1, 7] = math.nan
    with pytest.raises(ValueError, match=r"int4_linear wants finite x, got NaN or infinity in row 1; look at what"):
        gpu.int4_linear(x.to(device), weight(4, 8, 8, device)[0], None, "none", "int8")
    got = gpu.int4_linear(x.to(device), weight(4, 8, 8, device)[0], None, "relu", "float32").cpu()
    assert got.isnan().all(1).tolist() == [False, True, False]  # as torch: NaN stays NaN
