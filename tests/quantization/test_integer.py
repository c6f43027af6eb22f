"""Integer layers against exact arithmetic: products in float64 are exact below 2^53."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab.quantization import (
    ConvShape,
    Int8Conv2d,
    Int8Linear,
    PerChannel,
    affine_qparams,
    conv_shape,
    int8_conv2d,
    int8_linear,
    quantize,
    quantize_weight,
)
from posttrain_lab.quantization.integer import LARGEST_K

pytestmark = pytest.mark.portable

LAWS = settings(max_examples=100, deadline=None, derandomize=True)


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int8)


# int8_linear, int8_conv2d


def float32_output(acc: torch.Tensor, x_scale: float, w_scale: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The last, float part of the definition, channels on the last axis of acc (float64, whole numbers)."""
    y = acc.float() * (torch.tensor(x_scale) * w_scale)
    return y if bias is None else y + bias


@LAWS
@given(st.integers(0, 20), st.integers(0, 40), st.integers(1, 20), st.integers(-128, 127), st.integers(0, 10**6))
def test_linear_equals_exact_sums(n, k, out, x_zero, seed):
    xq, wq = codes(n, k, seed=seed), codes(out, k, seed=seed + 1)
    w_scale, bias = torch.linspace(0.01, 0.1, out), torch.linspace(-1, 1, out)
    acc = (xq.double() - x_zero) @ wq.double().T
    for b in (None, bias):
        assert torch.equal(int8_linear(xq, 0.05, x_zero, wq, w_scale, b), float32_output(acc, 0.05, w_scale, b))


@pytest.mark.parametrize(("x", "x_zero", "w"), [(127, -128, -128), (-128, 127, -128), (127, -128, 127), (-128, 127, 127)])
def test_linear_is_exact_at_the_extremes(x, x_zero, w):
    xq, wq = torch.full((13, LARGEST_K), x, dtype=torch.int8), torch.full((17, LARGEST_K), w, dtype=torch.int8)
    want = torch.tensor((x - x_zero) * w * LARGEST_K).float()
    assert (int8_linear(xq, 1.0, x_zero, wq, torch.ones(17)) == want).all()


EVEN_SAME = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # torch's, about speed
SHAPES = {
    "plain": (nn.Conv2d(3, 5, 3), 3),
    "padded": (nn.Conv2d(3, 5, 3, padding=1), 3),
    "strided": (nn.Conv2d(3, 5, (3, 2), stride=(2, 3), padding=(2, 0)), 3),
    "same": (nn.Conv2d(2, 4, 4, padding="same"), 2),
    "dilated": (nn.Conv2d(2, 3, 3, dilation=2, padding=2), 2),
    "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2), 4),
    "depthwise": (nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), 4),
    "pointwise": (nn.Conv2d(7, 17, 1), 7),
}


@EVEN_SAME
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("x_zero", [-128, 0, 37, 127])
@pytest.mark.parametrize("bias", [True, False])
def test_conv_equals_exact_sums(name, x_zero, bias):
    """conv2d in float64 on xq - x_zero is exact, and pads with the real 0 where ours pads with the code of 0."""
    layer, channels = SHAPES[name]
    exact = copy.deepcopy(layer).double()
    xq, wq = codes(2, channels, 9, 11), codes(*layer.weight.shape, seed=1)
    w_scale, b = torch.linspace(0.01, 0.1, len(wq)), layer.bias.detach() if bias else None
    with torch.no_grad():
        exact.weight.copy_(wq)
        exact.bias.zero_()
        acc = exact(xq.double() - x_zero).round()
    got = int8_conv2d(xq, 0.05, x_zero, wq, w_scale, b, conv_shape(layer))
    want = float32_output(acc.permute(0, 2, 3, 1), 0.05, w_scale, b).permute(0, 3, 1, 2)
    assert got.dtype == torch.float32
    assert torch.equal(got, want)


def test_conv_of_nothing_and_of_views():
    wq, scale = codes(5, 3, 3, 3), torch.ones(5)
    assert int8_conv2d(codes(0, 3, 8, 8), 0.1, 0, wq, scale).shape == (0, 5, 6, 6)
    xq = codes(2, 8, 8, 3).permute(0, 3, 1, 2)
    assert torch.equal(int8_conv2d(xq, 0.1, 4, wq, scale), int8_conv2d(xq.contiguous(), 0.1, 4, wq, scale))


class Spy(TorchDispatchMode):
    """Notes every operation that sees a float tensor as large as the codes or the product."""

    def __init__(self, sizes: set[int]) -> None:
        super().__init__()
        self.sizes, self.seen = sizes, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in (*args, result):
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() in self.sizes:
                self.seen.append(func.name())
        return result


@pytest.mark.parametrize("m", [2, 30])
def test_no_float_before_the_sums_are_done(m):
    """Codes have m * 101 and 103 * 101 values, patches m * 4 * 99: no float tensor of these sizes may appear."""
    spy = Spy({m * 101, 103 * 101})
    with spy:
        int8_linear(codes(m, 101), 0.1, 3, codes(103, 101), torch.ones(103), torch.ones(103))
    assert spy.seen == []
    spy = Spy({m * 11 * 9, 103 * 99, m * 4 * 99})
    with spy:
        int8_conv2d(codes(m, 11, 4, 4), 0.1, 3, codes(103, 11, 3, 3), torch.ones(103))
    assert spy.seen == []
    with Spy({m * 101}) as spy:  # the spy itself: it does see a float product
        codes(m, 101).float() @ codes(103, 101).float().T
    assert spy.seen


BAD = [
    (dict(xq=torch.ones(2, 3)), TypeError, r"wants int8 codes as xq, got torch\.float32"),
    (dict(wq=torch.ones(4, 3, dtype=torch.int32)), TypeError, r"wants int8 codes as wq, got torch\.int32"),
    (dict(xq=codes(3)), ValueError, r"wants xq with 2 axes, got shape \(3,\)"),
    (dict(xq=codes(2, 5)), ValueError, r"wants equally many inputs, got \(2, 5\) and \(4, 3\)"),
    (dict(w_scale=torch.ones(3)), ValueError, r"wants w_scale \[4\], got \(3,\)"),
    (dict(bias=torch.ones(1)), ValueError, r"wants bias \[4\], got \(1,\)"),
    (dict(x_scale=0.0), ValueError, "wants a positive, finite torch.float32 scale, got 0.0"),
    (dict(x_scale=float("nan")), ValueError, "wants a positive, finite torch.float32 scale, got nan"),
    (dict(w_scale=torch.tensor([1.0, 1.0, -1.0, 1.0])), ValueError, "wants a positive, finite torch.float32 scale"),
    (dict(x_scale=1e-30, w_scale=torch.full((4,), 1e-30)), ValueError, r"wants x_scale \* w_scale above 0"),
    (dict(x_zero=128), ValueError, r"wants a zero_point in -128\.\.127, got 128"),
    (dict(x_zero=0.5), TypeError, "wants a whole number as zero_point"),
    (dict(xq=codes(1, 65_794), wq=codes(4, 65_794)), ValueError, "wants at most 65793 weights a channel, got 65794"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_linear_bad_input(change, error, message):
    good = dict(xq=codes(2, 3), x_scale=0.1, x_zero=0, wq=codes(4, 3), w_scale=torch.ones(4), bias=None)
    with pytest.raises(error, match=f"int8_linear {message}"):
        int8_linear(**{**good, **change})


def test_conv_bad_input():
    xq, wq, scale = codes(1, 4, 5, 5), codes(6, 2, 3, 3), torch.ones(6)
    with pytest.raises(ValueError, match=r"int8_conv2d wants channels = groups .* got 4, wq .* 1 groups"):
        int8_conv2d(xq, 0.1, 0, wq, scale)
    with pytest.raises(ValueError, match=r"int8_conv2d wants xq with 4 axes, got shape \(4, 5, 5\)"):
        int8_conv2d(xq[0], 0.1, 0, wq, scale, None, ConvShape(groups=2))
    with pytest.raises(TypeError, match=r"int8_conv2d wants int8 codes as xq, got torch\.float32"):
        int8_conv2d(xq.float(), 0.1, 0, wq, scale, None, ConvShape(groups=2))
    with pytest.raises(ValueError, match="wants padded images of at least 3 x 3"):
        int8_conv2d(xq[:, :, :2], 0.1, 0, wq, scale, None, ConvShape(groups=2))


# layers


def halfway(x: torch.Tensor) -> tuple[float, int]:
    return affine_qparams(x.min().item(), x.max().item())


def bound(layer: nn.Module, x: torch.Tensor, scale: float) -> torch.Tensor:
    """What rounding may move an output, per channel: sum_k (|w| * dx + |x| * dw + dx * dw), all steps halved.

    dx = scale (half a step, and half for the zero point), dw = w_scale / 2; 1 % more for float32.
    """
    w_scale = quantize_weight(layer.weight, 8, PerChannel())[1]
    weight = layer.weight.detach().abs().flatten(1)
    dw = w_scale[:, None] / 2
    return 1.01 * (weight * scale + (x.abs().max() + scale) * dw).sum(1)


@pytest.mark.parametrize("bias", [True, False])
def test_an_int8_linear_layer_stands_in_for_the_float_one(bias):
    torch.manual_seed(0)
    layer, x = nn.Linear(20, 7, bias=bias), torch.rand(2, 5, 20) - 0.3
    scale, zero = halfway(x)
    stand_in = Int8Linear.from_linear(layer, scale, zero)
    got = stand_in(x)
    assert got.shape == (2, 5, 7)
    assert ((got - layer(x)).abs() <= bound(layer, x, scale)).all()
    wq, w_scale = quantize_weight(layer.weight, 8, PerChannel())
    want = int8_linear(quantize(x, scale, zero).reshape(10, 20), scale, zero, wq, w_scale, layer.bias)
    assert torch.equal(got.reshape(10, 7), want)


@EVEN_SAME
@pytest.mark.parametrize("name", SHAPES)
def test_an_int8_convolution_stands_in_for_the_float_one(name):
    torch.manual_seed(0)
    layer, channels = SHAPES[name]
    x = torch.rand(2, channels, 8, 9) - 0.3
    scale, zero = halfway(x)
    got, want = Int8Conv2d.from_conv2d(layer, scale, zero)(x), layer(x)
    assert got.shape == want.shape
    assert ((got - want).abs() <= bound(layer, x, scale)[:, None, None]).all()


def test_a_students_function_does_the_work():
    calls = []

    def mine(xq, x_scale, x_zero, wq, w_scale, bias=None):
        calls.append((xq.dtype, x_scale, x_zero))
        return F.linear(xq.float(), wq.float()) * 0 + 42

    layer = Int8Linear.from_linear(nn.Linear(3, 2), 0.1, 5, matmul=mine)
    assert (layer(torch.ones(4, 3)) == 42).all()
    assert calls == [(torch.int8, 0.1, 5)]


def test_layers_can_be_saved_copied_and_loaded():
    torch.manual_seed(0)
    x, float_layer = torch.rand(2, 3), nn.Linear(3, 2)
    layer, other = Int8Linear.from_linear(float_layer, 0.01, -7), Int8Linear.from_linear(nn.Linear(3, 2), 0.5, 9)
    assert not torch.equal(layer(x), other(x))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    with torch.no_grad():
        before = layer(x)
        float_layer.weight.zero_()
        float_layer.bias.zero_()
    assert torch.equal(layer(x), before)


def test_layers_bad_input():
    with pytest.raises(TypeError, match=r"Int8Linear\.from_linear wants an nn\.Linear, got Conv2d"):
        Int8Linear.from_linear(nn.Conv2d(1, 1, 1), 0.1, 0)
    with pytest.raises(TypeError, match=r"Int8Conv2d\.from_conv2d wants an nn\.Conv2d, got Linear"):
        Int8Conv2d.from_conv2d(nn.Linear(1, 1), 0.1, 0)
    with pytest.raises(ValueError, match="wants padding_mode 'zeros', got 'reflect'"):
        Int8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), 0.1, 0)
    with pytest.raises(ValueError, match="Int8Linear wants a positive, finite"):
        Int8Linear.from_linear(nn.Linear(1, 1), 0.0, 0)
    with pytest.raises(ValueError, match=r"Int8Linear wants a zero_point in -128\.\.127, got 200"):
        Int8Linear.from_linear(nn.Linear(1, 1), 0.1, 200)
