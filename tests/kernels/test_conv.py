"""int8_conv2d against the reference: every geometry, exact sums, scaled results, strides, poison, bad input."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab import kernels
from posttrain_lab.kernels import Int8ConvWeight, reference
from posttrain_lab.kernels.cpu import conv, int8_microkernel, threads
from posttrain_lab.kernels.geometry import ConvGeometry, conv_geometry
from tests.kernels.cases import codes, floats

pytestmark = pytest.mark.portable

GEOMETRIES = [  # n, h, w, channels, outputs, (kh, kw), stride, padding, groups
    (1, 1, 1, 1, 1, (1, 1), 1, 0, 1),
    (2, 5, 7, 3, 7, (3, 3), 1, 1, 1),
    (1, 9, 6, 8, 34, (3, 2), 2, 0, 2),
    (3, 8, 8, 24, 48, (3, 3), 1, 1, 1),
    (1, 6, 6, 6, 6, (3, 3), 1, 2, 6),
    (2, 7, 5, 5, 17, (1, 5), 1, 3, 1),
    (1, 4, 4, 2, 3, (4, 4), 3, 0, 1),
    (2, 11, 11, 16, 16, (5, 5), 3, 2, 4),
    (70, 3, 3, 4, 5, (3, 3), 1, 0, 1),  # one pixel each: many images in a block
    (5, 7, 7, 4, 18, (3, 3), 1, 1, 1),
    (3, 9, 70, 3, 4, (2, 3), 2, 1, 1),  # lines longer than a block, and more than the windows see
    (4, 8, 5, 4, 4, (1, 1), 3, 0, 1),
]


def operands(geometry, seed=0):
    n, h, w, c, out, kernel, stride, padding, groups = geometry
    weight = Int8ConvWeight.from_codes(codes(out, c // groups, *kernel, seed=seed + 1), floats(out, seed=2).abs() + 0.1, groups)
    return codes(n, h, w, c, seed=seed), weight, stride, padding


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("pad_value", [0, -128, 127])
def test_sums_are_exact(geometry, pad_value):
    x, weight, stride, padding = operands(geometry)
    got = kernels.int8_conv2d(x, weight, stride, padding, pad_value)
    want = reference.int8_conv2d(x, weight, stride, padding, pad_value, None, None, "none")
    assert got.dtype == torch.int32
    assert torch.equal(got, want)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
def test_scaled_results(geometry, activation):
    x, weight, stride, padding = operands(geometry)
    scale, bias = torch.rand(len(x), generator=torch.Generator().manual_seed(0)) / 1000, floats(geometry[4], seed=4)
    got = kernels.int8_conv2d(x, weight, stride, padding, 3, scale, bias, activation)
    want = reference.int8_conv2d(x, weight, stride, padding, 3, scale, bias, activation)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.tuples(*[st.integers(1, 90)] * 2), st.integers(1, 5), st.integers(1, 4), st.integers(0, 9), st.integers(0, 300))
def test_no_block_sees_more_lines_than_are_held(size, kh, stride, more, pixel):
    """An image may have lines below the last window."""
    (oh, ow), starts = size, np.zeros(int8_microkernel.BLOCK, np.int64)
    height, line_stride = (oh - 1) * stride + kh + more % stride, conv.SCRATCH + 1
    geometry = ConvGeometry(height, (ow - 1) * stride + 1, 1, kh, 1, stride, 0, 1, 1, oh, ow)
    buffer = conv.LineBuffer(1, line_stride, 1, 0, height, 0)
    for rows in (1, 5, int8_microkernel.BLOCK):
        conv.window_starts.py_func(pixel, rows, geometry, buffer, starts)
        seen = starts[rows - 1] // line_stride + kh - starts[0] // line_stride
        assert kh <= seen <= conv.buffer_lines(geometry, height, line_stride, conv.SCRATCH)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.tuples(*[st.integers(1, 9)] * 2),
    st.tuples(*[st.integers(1, 4)] * 2),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_windows_are_where_the_filter_lies(size, kernel, stride, groups, pixel):
    """All numbers of all windows of a block."""
    (oh, ow), (kh, kw), starts = size, kernel, np.zeros(int8_microkernel.BLOCK, np.int64)
    high, wide = (oh - 1) * stride + kh, (ow - 1) * stride + kw
    geometry = conv_geometry((high, wide, 4 * groups), (groups, kh, kw), groups, stride, 0)
    assert (geometry.out_height, geometry.out_width) == size
    _, buffer, offsets = conv.plan(geometry, 1, conv.SCRATCH)
    buffer = conv.LineBuffer(*buffer)
    rows = min(int8_microkernel.BLOCK, 100 - pixel)
    conv.window_starts.py_func(pixel, rows, geometry, buffer, starts)
    image = np.arange(-(-100 // (oh * ow)) * high * buffer.line_stride).reshape(-1, high, wide, groups, 4)
    for row in range(rows):
        number, place = divmod(pixel + row, oh * ow)
        r, c = place // ow * stride, place % ow * stride
        for group in range(groups):
            window = image[number, r : r + kh, c : c + kw, group]
            runs = [starts[row] + offset + group * 4 + np.arange(buffer.run_length) for offset in offsets]
            assert np.array_equal(np.concatenate(runs), window.reshape(-1))


@pytest.mark.parametrize("geometry", [GEOMETRIES[i] for i in (1, 3, 7, 8, 9, 11)])
def test_lines_that_are_held_one_after_the_other(geometry, monkeypatch):
    """Blocks of pixels begin and end within an image, and within a line; threads begin there too."""
    _, h, w, c, out, kernel, stride, padding, groups = geometry
    x, weight, _, _ = operands((150, h, w, c, out, kernel, stride, padding, groups))
    want = reference.int8_conv2d(x, weight, stride, padding, 5, None, None, "none")
    monkeypatch.setattr(conv, "SCRATCH", 1)
    assert torch.equal(kernels.int8_conv2d(x, weight, stride, padding, 5), want)
    monkeypatch.setattr(threads, "MACS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(kernels.int8_conv2d(x, weight, stride, padding, 5), want)


@pytest.mark.parametrize(("left", "right"), list(itertools.product([-128, 127], repeat=2)))
def test_extremes_are_exact(left, right):
    x = torch.full((1, 6, 6, 33), left, dtype=torch.int8)
    weight = Int8ConvWeight.from_codes(torch.full((18, 33, 5, 5), right, dtype=torch.int8), torch.ones(18))
    assert (kernels.int8_conv2d(x, weight) == left * right * 33 * 25).all()


def test_strides_threads_and_poison_do_not_matter(monkeypatch):
    x, weight, stride, padding = operands(GEOMETRIES[3])
    want = kernels.int8_conv2d(x, weight, stride, padding, 5)
    assert torch.equal(
        kernels.int8_conv2d(x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1), weight, stride, padding, 5), want
    )
    held = torch.full((5, 10, 10, 26), 99, dtype=torch.int8)
    held[1:-1, 1:-1, 1:-1, 1:-1] = x
    assert torch.equal(kernels.int8_conv2d(held[1:-1, 1:-1, 1:-1, 1:-1], weight, stride, padding, 5), want)
    monkeypatch.setattr(threads, "MACS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(kernels.int8_conv2d(x, weight, stride, padding, 5), want)


def test_sums_need_no_scale():
    x, weight, stride, padding = operands(GEOMETRIES[2])
    bare = Int8ConvWeight.from_codes(weight.filters(), None, weight.groups)
    assert torch.equal(kernels.int8_conv2d(x, bare, stride, padding), kernels.int8_conv2d(x, weight, stride, padding))
    with pytest.raises(ValueError, match="a weight with scales for scaled results"):
        kernels.int8_conv2d(x, bare, stride, padding, scale=torch.ones(1))


def test_no_images():
    weight = operands(GEOMETRIES[1])[1]
    assert kernels.int8_conv2d(codes(0, 5, 7, 3), weight, padding=1).shape == (0, 5, 7, 7)


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (0, 0)])
def test_images_that_are_border_only(size):
    weight = Int8ConvWeight.from_codes(codes(5, 3, 2, 1), torch.ones(5))
    got = kernels.int8_conv2d(codes(2, *size, 3), weight, padding=2, pad_value=7)
    want = (7 * weight.filters().sum((1, 2, 3), dtype=torch.int32)).expand_as(got)
    assert torch.equal(got, want)
    assert got.shape[:3] == (2, size[0] + 3, size[1] + 4)


def test_a_scale_with_a_gradient_is_taken_without_it():
    x, weight, scale = codes(2, 5, 7, 3), Int8ConvWeight.from_float(floats(4, 3, 3, 3)), torch.ones(2)
    got = kernels.int8_conv2d(x, weight, scale=scale.clone().requires_grad_())
    assert torch.equal(got, kernels.int8_conv2d(x, weight, scale=scale))


def test_agrees_with_torch_in_float():
    layer, x = nn.Conv2d(3, 8, 3, padding=1, stride=2), codes(2, 9, 9, 3)
    weight = Int8ConvWeight.from_float(layer.weight)
    got = kernels.int8_conv2d(x, weight, 2, 1, 0, torch.ones(2), layer.bias.detach())
    want = layer(x.permute(0, 3, 1, 2).float()).permute(0, 2, 3, 1)
    assert (got - want).norm() / want.norm() < 0.02


X, W = codes(2, 5, 7, 3), Int8ConvWeight.from_float(torch.ones(4, 3, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.int8_conv2d(X.float(), W), TypeError, "int8_conv2d wants x in int8, got torch.float32; quantize first"),
        (lambda: kernels.int8_conv2d(X.permute(0, 3, 1, 2), W), ValueError, r"\[n, h, w, 3\], channels last, got \(2, 3, 5, 7\)"),
        (lambda: kernels.int8_conv2d(X, torch.ones(4, 3, 3, 3)), TypeError, "wants weight as Int8ConvWeight"),
        (lambda: kernels.int8_conv2d(X, W, stride=0), ValueError, "stride as a whole number of at least 1, got 0"),
        (lambda: kernels.int8_conv2d(X, W, padding=-1), ValueError, "padding"),
        (lambda: kernels.int8_conv2d(X, W, pad_value=200), ValueError, "pad_value as a whole number from -128 to 127, got 200"),
        (lambda: kernels.int8_conv2d(X[:, :2], W), ValueError, "an image that holds the 3 x 3 filter"),
        (lambda: kernels.int8_conv2d(X, W, bias=torch.ones(4)), ValueError, "a scale with bias or activation"),
        (lambda: kernels.int8_conv2d(X, W, scale=torch.ones(3)), ValueError, r"scale float32 \[2\], got"),
        (lambda: kernels.int8_conv2d(X, W, scale=torch.ones(2), bias=torch.ones(3)), ValueError, r"bias \[4\]"),
        (lambda: Int8ConvWeight.from_float(torch.ones(4, 3, 3, 3), groups=3), ValueError, "groups that divide 4 outputs, got 3"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
