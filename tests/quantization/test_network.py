"""Whole networks: what each mode promises, and what it says to models and images it cannot use."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab.data import Dataset, load_fashion
from posttrain_lab.metrics import accuracy, macs, model_bytes
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization.affine import fake_quantize_weight, quantize_weight
from posttrain_lab.quantization.granularity import PerChannel, PerGroup, PerTensor
from posttrain_lab.quantization.integer_network import IntegerLayer
from posttrain_lab.quantization.layers import CodedLayer, DynamicConv2d, DynamicLinear, Int4Linear, WeightOnlyLinear
from posttrain_lab.quantization.network import IntegerNetwork, QuantizationConfig, quantize_model
from tests.quantization.nets import images, small_cnn

pytestmark = pytest.mark.slow

MODES = ["static", "dynamic", "weight_only", "integer"]


class Residual(nn.Module):
    """No chain: one layer used twice, one under two names, a skip connection and an attention."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.also_conv = self.conv
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + F.relu(self.also_conv(self.conv(x)))
        x, _ = self.attention(x[:, 0], x[:, 1], x[:, 1], need_weights=False)
        return self.head(x).mean(1)


class HeadUnused(Residual):
    """Has a layer that never runs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_8_bits_are_near_the_float_network_and_leave_it_alone(mode: str, rounding: str) -> None:
    model, x = small_cnn(), images()
    kept, x_kept = copy.deepcopy(model.state_dict()), x.clone()
    got = quantize_model(model, x, QuantizationConfig(mode=mode, rounding=rounding))  # type: ignore[arg-type]
    assert not got.training
    assert model.training
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert torch.equal(x, x_kept)
    with torch.no_grad():
        want = copy.deepcopy(model).eval()(x)
        assert float((got(x) - want).abs().max()) < 0.05 * float(want.abs().max())
        assert torch.equal(got(x), got(x))
    again = quantize_model(model, x, QuantizationConfig(mode=mode, rounding=rounding))  # type: ignore[arg-type]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in got.state_dict().items())


@pytest.mark.parametrize("mode", ["dynamic", "weight_only"])
@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_any_module_with_shared_layers_and_attention(mode: str, rounding: str) -> None:
    model, x = Residual().eval(), images()
    got = quantize_model(model, x, QuantizationConfig(mode=mode, rounding=rounding))  # type: ignore[arg-type]
    assert got.conv is got.also_conv
    assert isinstance(got.head, CodedLayer)
    with torch.no_grad():
        assert float((got(x) - model(x)).abs().max()) < 0.1 * float(model(x).abs().max())


def test_a_model_that_is_one_layer() -> None:
    got = quantize_model(nn.Linear(3, 2), torch.rand(4, 3), QuantizationConfig(mode="weight_only"))
    assert isinstance(got, WeightOnlyLinear)
    assert got(torch.rand(2, 5, 3)).shape == (2, 5, 2)


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(), PerGroup(3)])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weight_only_computes_with_the_rounded_weights(granularity, bits: int) -> None:
    torch.manual_seed(0)
    cases = [(nn.Linear(6, 5), torch.randn(4, 6)), (nn.Conv2d(3, 6, 3, padding=1, stride=2), torch.randn(2, 3, 6, 5))]
    for layer, x in cases:
        got = quantize_model(layer, x, QuantizationConfig(mode="weight_only", bits=bits, granularity=granularity))
        want = copy.deepcopy(layer)
        want.weight.data = fake_quantize_weight(layer.weight, bits, granularity)
        assert torch.equal(got(x), want(x))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("activation_bits", [5, 8])
def test_dynamic_layers_equal_exact_arithmetic_on_their_codes(bits: int, activation_bits: int) -> None:
    """Inputs fake-quantized to their own range and rounded weights, multiplied in float64 by torch.

    All but the last steps are exact integers, so the float32 result carries three roundings: scale, product, bias.
    """
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    cases = [(nn.Linear(40, 5), torch.randn(3, 7, 40)), (conv, torch.randn(2, 4, 6, 5))]
    for layer, x in cases:
        config = QuantizationConfig(mode="dynamic", bits=bits, activation_bits=activation_bits)
        got = quantize_model(layer, x, config)
        low, high = -(2 ** (activation_bits - 1)), 2 ** (activation_bits - 1) - 1
        scale = (float(x.max()) - float(x.min())) / (high - low)
        zero = round(low - float(x.min()) / scale)
        fake = torch.fake_quantize_per_tensor_affine(x, scale, zero, low, high)
        exact = copy.deepcopy(layer).double()
        exact.weight.data = fake_quantize_weight(layer.weight, bits, PerChannel()).double()
        want = exact(fake.double())
        size = exact.weight.abs().flatten(1).sum(1).max() * fake.abs().max() + layer.bias.abs().max()
        assert bool((got(x) - want).abs().le(size * 2.0**-20).all())
        assert isinstance(got, DynamicLinear | DynamicConv2d)
        assert got(x[:0]).shape == (0, *want.shape[1:])


VARIANTS = [{}, {"bits": 4}, {"activation_bits": 6}, {"observer": "percentile"}, {"rounding": "gptq"}]


@pytest.mark.parametrize("mode", ["weight_only", "static"])
@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_a_layer_that_a_group_does_not_divide_takes_the_next_smaller_divisor(mode: str, rounding: str) -> None:
    """Inputs of the layers: 18, 18, 96 and 16. Group 12 becomes 9, 9, 12 and 8."""
    config = QuantizationConfig(bits=4, mode=mode, rounding=rounding, granularity=PerGroup(12))  # type: ignore[arg-type]
    got = quantize_model(small_cnn(), images(), config)
    coded = [layer for layer in got.modules() if isinstance(layer, CodedLayer)]
    assert [layer.granularity for layer in coded] == [PerGroup(9), PerGroup(9), PerGroup(12), PerGroup(8)]
    assert [tuple(layer.scale.shape) for layer in coded] == [(6, 2), (8, 2), (16, 8), (5, 2)]
    if mode == "weight_only" and rounding == "nearest":
        assert torch.equal(coded[2].weight, fake_quantize_weight(small_cnn()[5].weight, 4, PerGroup(12)))


def test_int4_layer_equals_int8_arithmetic_on_its_unpacked_weights() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(33, 6), torch.rand(4, 2, 33)
    got = Int4Linear.from_linear(layer, 1 / 255, -128)
    codes, scale = quantize_weight(layer.weight, 4, PerChannel())
    xq = (x.flatten(0, 1) * 255).round() - 128
    want = (xq.double() + 128) @ codes.double().T * (scale.double() / 255) + layer.bias.double()
    assert torch.allclose(got(x).flatten(0, 1).double(), want, rtol=1e-6, atol=1e-6)
    assert model_bytes(got) == 33 * 6 // 2 + 4 * 6 + 4 * 6
    with pytest.raises(TypeError, match=r"Int4Linear.from_linear wants an nn.Linear, got Conv2d"):
        Int4Linear.from_linear(nn.Conv2d(1, 1, 1), 1.0, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", VARIANTS)
def test_integer_and_simulated_networks_agree(config: dict) -> None:
    """Both round the same numbers, but at ties and through the int32 bias: codes differ rarely, and then by one.

    A difference changes all later layers, so the first layers' codes are compared on their own (the pooling keeps codes as they are).
    """
    x = images(64)
    static = quantize_model(small_cnn(), x, QuantizationConfig(**config))
    integer = quantize_model(small_cnn(), x, QuantizationConfig(mode="integer", **config))
    assert isinstance(integer, IntegerNetwork)
    codes = integer.layers[0](integer.quantize_input(x))
    first = integer.layers[0].y
    floats = static[:4](x)  # input codes, convolution, ReLU, output codes
    apart = (floats / first.scale + first.zero_point).round() - codes
    assert float(apart.abs().max()) <= 1
    assert float((apart != 0).float().mean()) < 1e-3
    a, b = static(x), integer(x)
    assert float((a - b).abs().max()) < 0.05 * float(a.abs().max())
    assert float((a.argmax(1) == b.argmax(1)).float().mean()) >= 0.95


class FloatSpy(TorchDispatchMode):
    """Writes down every operation and whether a floating-point tensor went in or came out."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, bool]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in torch.utils._pytree.tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        self.calls.append((str(func), any(t.is_floating_point() or t.is_complex() for t in tensors)))
        return out


POOLED = nn.Sequential(nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3), nn.Flatten())


@pytest.mark.parametrize("model", [small_cnn(), POOLED])
@pytest.mark.parametrize("bits", [3, 8])
def test_no_float_between_input_quantization_and_output_dequantization(model: nn.Sequential, bits: int) -> None:
    network = quantize_model(model, images(), QuantizationConfig(mode="integer", bits=bits))
    assert isinstance(network, IntegerNetwork)
    with FloatSpy() as inside:
        codes = network.quantize_input(images())
        before = len(inside.calls)
        result = network.integer(codes)
        after = len(inside.calls)
        network.dequantize_output(result)
    assert any(is_float for _, is_float in inside.calls[:before])  # the spy sees floats where there are some
    assert any(is_float for _, is_float in inside.calls[after:])
    assert after - before > 20
    assert [name for name, is_float in inside.calls[before:after] if is_float] == []
    assert any("int8_matmul" in name for name, _ in inside.calls[before:after])
    assert torch.equal(network(images()), network.dequantize_output(result))


def test_the_spy_catches_a_network_that_is_only_simulated() -> None:
    network = quantize_model(small_cnn(), images(), QuantizationConfig())
    with FloatSpy() as spy:
        network(images())
    assert any("convolution" in name and is_float for name, is_float in spy.calls)


def test_input_codes_of_pixels_are_the_pixels() -> None:
    network = quantize_model(small_cnn(), images(), QuantizationConfig(mode="integer"))
    assert network.input.scale == pytest.approx(1 / 255)
    assert network.input.zero_point == -128


def test_bytes_are_those_of_codes_scales_and_biases() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x, weights, channels = torch.rand(4, 6), 6 * 5 + 5 * 3, 5 + 3
    for bits, packed in ((8, weights), (5, weights), (4, 15 + 8), (3, 15 + 8), (2, 8 + 4)):
        for mode in ("weight_only", "dynamic", "static"):
            got = quantize_model(model, x, QuantizationConfig(mode=mode, bits=bits))  # type: ignore[arg-type]
            assert model_bytes(got) == packed + 4 * channels + 4 * channels, (bits, mode)
        got = quantize_model(model, x, QuantizationConfig(mode="integer", bits=bits))
        assert model_bytes(got) == packed + 4 * channels + 5 * (4 + 1)  # bias; multiplier and shift of the first layer
    grouped = quantize_model(model[0], x, QuantizationConfig(mode="weight_only", bits=4, granularity=PerGroup(3)))
    assert model_bytes(grouped) == 15 + 4 * 5 * 2 + 4 * 5


@pytest.mark.parametrize("mode", MODES)
def test_the_work_is_counted_as_before(mode: str) -> None:
    x = images(1)
    got = quantize_model(small_cnn(), images(), QuantizationConfig(mode=mode))  # type: ignore[arg-type]
    assert macs(got, x) == macs(small_cnn(), x)


def test_labels_are_not_looked_at_and_batches_do_not_matter() -> None:
    x = images(70)
    a = quantize_model(small_cnn(), Dataset(x, torch.zeros(70).long(), ("a",)), QuantizationConfig(mode="integer"))
    b = quantize_model(small_cnn(), x, QuantizationConfig(mode="integer"))
    assert torch.equal(a(x), b(x))
    assert torch.equal(torch.cat([a(x[:3]), a(x[3:])]), a(x))
    assert a(x[:0]).shape == (0, 5)


def test_a_dead_channel_with_a_shift_of_its_own() -> None:
    """Batch norm's gamma near 0 gives a channel almost no weights and a whole bias."""
    model = small_cnn()
    norm = model[0][1]
    norm.weight.data[2], norm.bias.data[2] = 1e-25, 1.5
    norm.weight.data[3], norm.bias.data[3] = 0.0, 0.7
    got = quantize_model(model, images(), QuantizationConfig(mode="integer"))
    want = model.eval()(images()).detach()
    assert float((got(images()) - want).abs().max()) < 0.05 * float(want.abs().max())


def test_constant_images_and_a_network_without_bias() -> None:
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    for value in (0.0, 0.7, -2.0):
        x = torch.full((4, 3), value)
        got = quantize_model(model, x, QuantizationConfig(mode="integer"))(x)
        assert torch.allclose(got, model(x), atol=0.02)


BAD_CONFIGS = [
    ({"bits": 1}, ValueError, "QuantizationConfig wants bits from 2 to 8, got 1"),
    ({"bits": 9}, ValueError, "bits from 2 to 8, got 9"),
    ({"bits": 4.0}, TypeError, "whole number of bits, got 4.0"),
    ({"activation_bits": 0}, ValueError, r"QuantizationConfig \(activation_bits\) wants bits from 2 to 8, got 0"),
    ({"mode": "int8"}, ValueError, "mode to be one of static, dynamic, weight_only, integer, got 'int8'"),
    ({"observer": "max"}, ValueError, "observer to be one of minmax, percentile, mse, kl, got 'max'"),
    ({"rounding": "up"}, ValueError, "rounding to be one of nearest, gptq, got 'up'"),
    ({"granularity": "channel"}, TypeError, "PerTensor.*got 'channel'"),
    ({"granularity": PerChannel(1)}, ValueError, r"PerChannel\(axis=0\).*got axis 1"),
    ({"granularity": PerGroup(4), "mode": "integer"}, ValueError, "scale per output channel for mode 'integer'"),
    ({"granularity": PerGroup(4), "mode": "dynamic"}, ValueError, "scale per output channel for mode 'dynamic'"),
]


@pytest.mark.parametrize(("fields", "error", "message"), BAD_CONFIGS)
def test_bad_configs(fields: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        QuantizationConfig(**fields)


def nested(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 2, 3), nn.Sequential(nn.ReLU(), layer))


BEYOND_CHAINS = {
    "GELU": nested(nn.GELU()),
    "a batch norm alone": nested(nn.BatchNorm2d(2)),
    "a transposed convolution": nested(nn.ConvTranspose2d(2, 2, 3)),
    "windows over the edge": nested(nn.MaxPool2d(2, ceil_mode=True)),
    "padded averages": nested(nn.AvgPool2d(2, padding=1)),
    "reflecting padding": nested(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")),
    "attention and a skip": Residual(),
}


@pytest.mark.parametrize("kind", BEYOND_CHAINS)
@pytest.mark.parametrize("mode", ["static", "integer"])
def test_what_is_no_chain_is_traced(kind: str, mode: str) -> None:
    model, x = BEYOND_CHAINS[kind].eval(), images()
    with torch.no_grad():
        got, want = quantize_model(model, x, QuantizationConfig(mode=mode))(x), model(x)  # type: ignore[arg-type]
    assert got.shape == want.shape
    assert float((got - want).norm()) < 0.03 * float(want.norm())


@pytest.mark.parametrize("model", [nn.Sequential(nn.ReLU(), nn.Flatten()), nn.Sequential()])
@pytest.mark.parametrize("mode", ["static", "integer"])
def test_models_with_nothing_to_quantize(model: nn.Module, mode: str) -> None:
    with pytest.raises(ValueError, match="Linear or Conv2d layers, got none"):
        quantize_model(model, images(), QuantizationConfig(mode=mode))  # type: ignore[arg-type]


def test_other_bad_models() -> None:
    with pytest.raises(TypeError, match=r"quantize_model wants an nn.Module, got str"):
        quantize_model("model", images())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="quantize_model wants a QuantizationConfig, got int"):
        quantize_model(small_cnn(), images(), 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Linear or Conv2d layers, got none"):
        quantize_model(nn.ReLU(), images(), QuantizationConfig(mode="dynamic"))
    reflect = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ValueError, match="Conv2d at '0' with padding_mode 'reflect'"):
        quantize_model(reflect, images(), QuantizationConfig(mode="weight_only"))
    broken = small_cnn()
    broken[0][0].weight.data[:] = float("inf")
    with pytest.raises(ValueError, match=r"cannot quantize layer '0.0': .*finite weights"):
        quantize_model(broken, images(), QuantizationConfig(mode="weight_only"))
    with pytest.raises(ValueError, match=r"every layer to run for rounding 'gptq', but 'attention\.q_proj' does not"):
        quantize_model(HeadUnused(), images(), QuantizationConfig(mode="weight_only", rounding="gptq"))
    broken = small_cnn()
    broken[5].weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite weights"):
        quantize_model(broken, images())


@pytest.mark.parametrize("mode", ["static", "integer"])
def test_bad_images(mode: str) -> None:
    config = QuantizationConfig(mode=mode)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one calibration image, got shape"):
        quantize_model(small_cnn(), images()[:0], config)
    with pytest.raises(ValueError, match="finite calibration images, got NaN or infinity"):
        quantize_model(small_cnn(), images() * float("inf"), config)
    with pytest.raises(TypeError, match=r"float tensor or Dataset, got torch.int64"):
        quantize_model(small_cnn(), images().long(), config)
    with pytest.raises(TypeError, match=r"float tensor or Dataset, got list"):
        quantize_model(small_cnn(), [1.0], config)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"for rounding 'gptq'|at least one calibration image"):
        quantize_model(small_cnn(), images()[:0], QuantizationConfig(mode="weight_only", rounding="gptq"))
    quantize_model(small_cnn(), images()[:0], QuantizationConfig(mode="weight_only"))  # needs none


def logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(part) for part in x.split(500)])


@pytest.mark.slow
def test_the_fashion_network_keeps_its_accuracy_at_8_bits() -> None:
    split, model = load_fashion(), load_pretrained("fashion_cnn")
    x, labels = split.test.images, split.test.labels
    network = quantize_model(model, split.calibration, QuantizationConfig(mode="integer"))
    assert isinstance(network, IntegerNetwork)
    assert (network.input.scale, network.input.zero_point) == (pytest.approx(1 / 255), -128)
    assert abs(accuracy(logits(network, x), labels) - accuracy(logits(model, x), labels)) <= 0.003
    x, want = split.validation.images, logits(model, split.validation.images).argmax(1)
    for mode in ("static", "dynamic", "weight_only"):
        got = quantize_model(model, split.calibration, QuantizationConfig(mode=mode))  # type: ignore[arg-type]
        assert accuracy(logits(got, x), want) >= 0.99, mode  # the same class as the float network


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["weight_only", "integer"])
def test_gptq_at_4_bits_beats_rounding_to_nearest(mode: str) -> None:
    """On the test accuracy, and on the output of each layer for images that the rounding has not seen."""
    split, model = load_fashion(), load_pretrained("fashion_cnn")
    x, labels = split.test.images, split.test.labels
    pair = [
        quantize_model(model, split.calibration, QuantizationConfig(bits=4, mode=mode, rounding=rounding))  # type: ignore[arg-type]
        for rounding in ("nearest", "gptq")
    ]
    nearest, optimal = (accuracy(logits(got, x), labels) for got in pair)
    assert optimal > nearest
    want = logits(model, split.validation.images)
    errors = [float((logits(got, split.validation.images) - want).square().mean()) for got in pair]
    assert errors[1] < 0.7 * errors[0]
    assert all(any(isinstance(layer, IntegerLayer | CodedLayer) for layer in got.modules()) for got in pair)
