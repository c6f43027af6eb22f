"""int8_conv2d in Triton, against the reference."""

import pytest
import torch
from gpu_cases import among, codes, floats, results  # noqa: F401
from torch.nn import functional as F

pytest.importorskip("triton")
from posttrain_lab.kernels import gpu
from posttrain_lab.kernels.packed import Int8ConvWeight

# images, height, width, channels of a group, groups, outputs, kernel height and width, stride, padding, fill
CASES = [
    (1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0),
    (2, 7, 6, 3, 1, 5, 3, 3, 1, 1, -3),
    (1, 9, 9, 1, 4, 8, 3, 2, 2, 0, 1),  # depthwise
    (2, 5, 5, 16, 2, 66, 1, 1, 1, 0, 0),  # more outputs of a group than a tile
    (3, 8, 5, 4, 1, 3, 2, 5, 3, 4, -128),  # windows that lie wholly beyond the border
    (1, 13, 11, 8, 1, 17, 3, 3, 1, 1, 127),  # more pixels than a tile
]


def sums(x, filters, stride, padding, pad_value, groups):
    """By torch, in float64, on the cpu: [n, oh, ow, out] int32."""
    image = F.pad(x.permute(0, 3, 1, 2).double(), [padding] * 4, value=pad_value)
    return F.conv2d(image, filters.double(), stride=stride, groups=groups).permute(0, 2, 3, 1).to(torch.int32).contiguous()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_torch(case, device, results):  # noqa: F811
    n, h, w, cg, groups, out, kh, kw, stride, padding, pad_value = case
    x, filters = codes(n, h, w, cg * groups), codes(out, cg, kh, kw, seed=1)
    scale, images, bias = floats(out, seed=2).abs(), floats(n, seed=3).abs(), floats(out, seed=4)
    last = filters.permute(0, 2, 3, 1).contiguous().to(device)
    packed = Int8ConvWeight(last, among(scale, device), (kh, kw), cg, groups, out)
    want = sums(x, filters, stride, padding, pad_value, groups)
    for image in (among(x, device), among(x.permute(0, 3, 1, 2).contiguous(), device).permute(0, 2, 3, 1)):
        got = gpu.int8_conv2d(image, packed, stride, padding, pad_value, None, None, "none")
        assert torch.equal(got.cpu(), want)
    got = gpu.int8_conv2d(image, packed, stride, padding, pad_value, among(images, device), among(bias, device), "relu")
    assert torch.equal(got.cpu(), F.relu(want.float() * (images[:, None, None, None] * scale) + bias))
    assert results.unharmed()


def test_gelu_without_bias_and_no_images(device):
    filters = torch.ones(2, 1, 1, 1, dtype=torch.int8)
    packed = Int8ConvWeight(filters.to(device), torch.ones(2, device=device), (1, 1), 1, 1, 2)
    x, scale = codes(1, 3, 3, 1), torch.full((1,), 0.02)
    got = gpu.int8_conv2d(x.to(device), packed, 1, 0, 0, scale.to(device), None, "gelu")
    assert torch.allclose(got.cpu(), F.gelu(x.float() * 0.02).expand(1, 3, 3, 2), atol=1e-6)
    none = gpu.int8_conv2d(x[:0].to(device), packed, 1, 0, 0, None, None, "none")
    assert (none.shape, none.dtype) == ((0, 3, 3, 2), torch.int32)
    unscaled = Int8ConvWeight(filters.to(device), None, (1, 1), 1, 1, 2)
    assert torch.equal(gpu.int8_conv2d(x.to(device), unscaled, 1, 0, 0, None, None, "none").cpu(), x.int().expand(1, 3, 3, 2))


def test_extremes_through_fp16(device):
    """The tile and the products of chips before sm_80, on a long window of extremes."""
    from posttrain_lab.kernels.gpu import conv

    x, filters = torch.full((1, 3, 3, 200), -128, dtype=torch.int8), torch.full((2, 200, 3, 3), -128, dtype=torch.int8)
    packed = Int8ConvWeight(filters.permute(0, 2, 3, 1).contiguous().to(device), None, (3, 3), 200, 1, 2)
    out = torch.empty(1, 1, 1, 2, dtype=torch.int32, device=device)
    conv.plan(x.to(device), packed, out, (1, 0, 0), (None, None, None), "none").fitted(75).started()
    assert out.flatten().tolist() == [1800 * 2**14] * 2
