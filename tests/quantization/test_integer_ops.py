"""Integer convolution, rescaling and pooling against torch in float64 and Python's own integers: equal, not close."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from posttrain_lab.quantization.chain import ActivationCodes, QuantizedStep
from posttrain_lab.quantization.integer import requantize
from posttrain_lab.quantization.integer_network import (
    LARGEST_SUM,
    IntegerAvgPool2d,
    IntegerConv2d,
    IntegerLinear,
    IntegerMaxPool2d,
    IntegerReLU,
)
from posttrain_lab.quantization.integer_ops import conv_sums, linear_sums, rescale
from posttrain_lab.quantization.layer_math import conv_shape

pytestmark = pytest.mark.portable


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(-128, 128, shape, dtype=torch.int8, generator=torch.Generator().manual_seed(seed))


CONVS = [
    (nn.Conv2d(3, 5, 3), (2, 3, 8, 7)),
    (nn.Conv2d(3, 5, (3, 2), stride=(2, 3), padding=(1, 2)), (2, 3, 9, 8)),
    (nn.Conv2d(4, 6, 3, groups=2, dilation=(1, 2), padding=2), (1, 4, 7, 9)),
    (nn.Conv2d(4, 4, 3, groups=4, padding="same"), (3, 4, 5, 5)),
    (nn.Conv2d(1, 1, 1), (1, 1, 1, 1)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVS)
@pytest.mark.parametrize("zero", [-128, 0, 127])
@pytest.mark.parametrize("extreme", [False, True])
def test_convolution_equals_float64(layer: nn.Conv2d, shape: tuple[int, ...], zero: int, extreme: bool) -> None:
    """sum (x - zero) w over a zero-padded image = the sums over an image padded with `zero`, minus zero times sum w."""
    x, weight = codes(*shape), codes(*layer.weight.shape, seed=1)
    if extreme:
        x, weight = torch.full_like(x, -128), torch.full_like(weight, 127)
    conv = conv_shape(layer)
    want = F.conv2d(x.double() - zero, weight.double(), None, layer.stride, layer.padding, layer.dilation, layer.groups)
    got = conv_sums(x, weight, conv, zero) - zero * weight.flatten(1).sum(1, dtype=torch.int32)
    assert got.dtype == torch.int32
    assert torch.equal(got.permute(0, 3, 1, 2).double(), want)
    transposed = x.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(conv_sums(transposed, weight, conv, zero), conv_sums(x, weight, conv, zero))


def test_linear_equals_float64() -> None:
    x, weight = codes(5, 301), codes(7, 301, seed=1)
    assert torch.equal(linear_sums(x, weight).double(), x.double() @ weight.double().T)


def test_an_image_smaller_than_the_kernel() -> None:
    with pytest.raises(ValueError, match="3 x 3 convolution wants padded images of at least 3 x 3, got 2 x 5"):
        conv_sums(codes(1, 1, 2, 5), codes(1, 1, 3, 3), conv_shape(nn.Conv2d(1, 1, 3)), 0)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.lists(st.integers(-LARGEST_SUM, LARGEST_SUM), min_size=1, max_size=6),
    st.integers(2**30, 2**31 - 1),
    st.integers(1, 62),
)
def test_rescaling_equals_unbounded_integers(sums: list[int], multiplier: int, shift: int) -> None:
    got = rescale(torch.tensor(sums, dtype=torch.int32)[:, None], torch.tensor([multiplier]), torch.tensor([shift]))
    assert got.flatten().tolist() == [(one * multiplier + 2 ** (shift - 1)) // 2**shift for one in sums]


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((2, 3), (1, 2), (1, 0), dilation=(2, 1))])
def test_max_pooling_equals_torch(layer: nn.MaxPool2d) -> None:
    x = codes(2, 3, 9, 8)
    assert torch.equal(IntegerMaxPool2d(layer)(x).double(), layer(x.double()))


@pytest.mark.parametrize("layer", [nn.AvgPool2d(2), nn.AvgPool2d((3, 2), (1, 2))])
def test_average_pooling_rounds_the_mean_up_at_ties(layer: nn.AvgPool2d) -> None:
    x = codes(2, 3, 9, 8)
    assert torch.equal(IntegerAvgPool2d(layer)(x).double(), (layer(x.double()) + 0.5).floor())


def test_relu_alone_is_a_clamp() -> None:
    assert IntegerReLU(-5)(torch.tensor([-9, -5, 3], dtype=torch.int8)).tolist() == [-5, -5, 3]


def linear_step(weight: torch.Tensor, bias: list[float], w_scale: list[float], **others: object) -> QuantizedStep:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.bias.data = torch.tensor(bias)
    return QuantizedStep("fc", layer, codes=weight, scale=torch.tensor(w_scale), **others)


def test_a_layer_by_hand() -> None:
    """x = (1, -0.5), W = (2, -1), bias 0.5: 2 + 0.5 + 0.5 = 3; in steps of 0.4: 7.5, a tie, up to 8; code 8 - 10."""
    weight = torch.tensor([[2, -1]], dtype=torch.int8)
    output = ActivationCodes(0.4, -10, 8)
    layer = IntegerLinear(linear_step(weight, [0.5], [1.0], output=output), ActivationCodes(0.5, 3, 8), 8)
    assert layer(torch.tensor([[5, 2]], dtype=torch.int8)).tolist() == [[-2]]
    assert layer.bias.tolist() == [1 - 3 * (2 - 1)]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12), st.integers(-128, 127), st.integers(0, 1000))
def test_finishing_equals_requantize(unit: float, y_scale: float, zero: int, seed: int) -> None:
    weight = codes(6, 4, seed=seed).clamp_min(-127)
    step = linear_step(weight, [0.0] * 6, [1.0] * 6, output=ActivationCodes(y_scale, zero, 8))
    layer = IntegerLinear(step, ActivationCodes(unit, 0, 8), 8)
    sums = torch.randint(-LARGEST_SUM, LARGEST_SUM, (5, 6), generator=torch.Generator().manual_seed(seed)).int()
    want = requantize(sums, torch.tensor([one / y_scale for one in layer.sum_scale], dtype=torch.float64), zero)
    assert torch.equal(layer.finish(sums), want)


@pytest.mark.parametrize("relu", [False, True])
def test_a_channel_whose_bias_dwarfs_its_weights_gives_its_bias(relu: bool) -> None:
    weight, output = torch.tensor([[127, -127], [127, 1]], dtype=torch.int8), ActivationCodes(0.05, -28, 8)
    step = linear_step(weight, [3.0, -2.0], [1e-20, 1e-3], output=output, relu=relu)
    layer = IntegerLinear(step, ActivationCodes(1 / 255, -128, 8), 8)
    got = (layer(torch.tensor([[127, -128]], dtype=torch.int8)).double() + 28) * 0.05
    assert got[0, 0] == pytest.approx(3.0)
    assert got[0, 1] == pytest.approx(0.0 if relu else -2.0 + 0.127, abs=0.025)


def test_sums_beyond_int32_are_refused_by_name() -> None:
    step = linear_step(torch.full((1, 70_000), 127, dtype=torch.int8), [0.0], [1.0])
    with pytest.raises(ValueError, match=r"integer sums below 2\^30, but layer 'fc' can reach"):
        IntegerLinear(step, ActivationCodes(1.0, 0, 8), 8)


@pytest.mark.parametrize("ratio", [1e-30, 1e30])
def test_scales_too_far_apart_give_zero_or_saturate(ratio: float) -> None:
    step = linear_step(torch.tensor([[1]], dtype=torch.int8), [0.0], [1.0], output=ActivationCodes(1 / ratio, 0, 8))
    layer = IntegerLinear(step, ActivationCodes(1.0, 0, 8), 8)
    assert layer(torch.tensor([[5], [0], [-5]], dtype=torch.int8)).flatten().tolist() == (
        [0, 0, 0] if ratio < 1 else [127, 0, -128]
    )


def test_convolution_layer_has_channels_last_in_memory() -> None:
    conv = nn.Conv2d(2, 4, 3)
    step = QuantizedStep("conv", conv, codes=codes(4, 2, 3, 3).clamp_min(-127), scale=torch.ones(4))
    layer = IntegerConv2d(step, ActivationCodes(1.0, 0, 8), 8)
    assert layer(codes(2, 2, 6, 5)).is_contiguous(memory_format=torch.channels_last)
