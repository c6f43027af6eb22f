"""Fake quantization against torch's own, and quantization-aware training against `quantize_model`."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from posttrain_lab.data import load_fashion
from posttrain_lab.metrics import accuracy
from posttrain_lab.models import load_pretrained
from posttrain_lab.quantization.granularity import PerChannel, PerGroup, PerTensor
from posttrain_lab.quantization.network import QuantizationConfig, quantize_model
from posttrain_lab.quantization.qat import AVERAGING, FakeQuantize, QATNetwork, convert_qat, prepare_qat
from posttrain_lab.training import TrainingConfig, train
from tests.quantization.nets import images, small_cnn

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("bits", "zero_point"), [(8, 0), (8, -128), (4, 3), (3, -4), (2, 1)])
def test_equals_torch_forward_and_backward(bits: int, zero_point: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    x = (torch.randn(500, generator=torch.Generator().manual_seed(0)) * 2**bits * 0.1).requires_grad_()
    weights = torch.randn(500, generator=torch.Generator().manual_seed(1))
    want = torch.fake_quantize_per_tensor_affine(x, 0.125, zero_point, low, high)  # 1 / scale is exact
    (want_gradient,) = torch.autograd.grad((want * weights).sum(), x)
    got = FakeQuantize.apply(x, 0.125, zero_point, bits)
    (gradient,) = torch.autograd.grad((got * weights).sum(), x)
    assert torch.equal(got, want)
    assert torch.equal(gradient, want_gradient)
    assert bool((gradient == 0).any())
    assert bool((gradient != 0).any())


def test_per_channel_equals_torch() -> None:
    x = torch.randn(4, 30, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scale = torch.tensor([0.5, 0.25, 0.0625, 0.125])
    want = torch.fake_quantize_per_channel_affine(x, scale, torch.zeros(4, dtype=torch.int32), 0, -8, 7)
    (want_gradient,) = torch.autograd.grad(want.square().sum(), x)
    got = FakeQuantize.apply(x, scale[:, None], 0, 4)
    (gradient,) = torch.autograd.grad(got.square().sum(), x)
    assert torch.equal(got, want)
    assert torch.equal(gradient, want_gradient)


def test_scale_gets_no_gradient_and_edges_count_as_inside() -> None:
    x = torch.tensor([-8.4, -8.6, 7.4, 7.6], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    FakeQuantize.apply(x, scale, 0, 4).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, 1.0, 0.0]
    assert scale.grad is None


CONFIGS = [
    QuantizationConfig(bits=3),
    QuantizationConfig(bits=3, mode="integer"),
    QuantizationConfig(bits=4, activation_bits=5, granularity=PerTensor(), mode="integer"),
    QuantizationConfig(bits=2, granularity=PerGroup(12)),
    QuantizationConfig(observer="percentile"),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_converting_gives_what_quantize_model_gives_for_the_trained_weights(config: QuantizationConfig) -> None:
    """Weights from training; ranges of both from the same images."""
    x = images()
    qat = prepare_qat(small_cnn(), config, x)
    optimizer = torch.optim.SGD(qat.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(qat(x), torch.arange(24) % 5).backward()
        optimizer.step()
    plain = nn.Sequential(*float_layers(qat))
    again = prepare_qat(plain, config, x)
    want = quantize_model(plain, x, config)
    for name, value in want.state_dict().items():
        assert torch.equal(value, convert_qat(again).state_dict()[name]), name
    assert torch.equal(convert_qat(again)(x), want(x))


def float_layers(qat: QATNetwork) -> list[nn.Module]:
    """The trained layers of a QAT network as plain torch modules."""
    layers: list[nn.Module] = []
    for step in qat.steps:
        layers.append(step.layer)
        layers += [nn.ReLU()] if getattr(step, "relu", False) else []
    return layers


def test_what_is_trained_is_what_is_converted() -> None:
    x = images()
    qat = prepare_qat(small_cnn(), QuantizationConfig(bits=4), x).eval()
    with torch.no_grad():
        assert torch.equal(qat(x), convert_qat(qat)(x))


def test_every_weight_gets_a_gradient_and_the_given_model_none() -> None:
    model = small_cnn()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    qat = prepare_qat(model, QuantizationConfig(bits=3), images())
    qat(images()).square().sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in qat.parameters())
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_ranges_follow_training_batches_and_stand_still_in_eval_mode() -> None:
    qat = prepare_qat(nn.Sequential(nn.Linear(2, 2)))
    qat(torch.tensor([[0.0, 1.0]]))
    assert (float(qat.input.low), float(qat.input.high)) == (0.0, 1.0)
    qat(torch.tensor([[-1.0, 3.0]]))
    assert float(qat.input.low) == pytest.approx(-AVERAGING)
    assert float(qat.input.high) == pytest.approx(1 + AVERAGING * 2)
    qat.eval()(torch.tensor([[-9.0, 9.0]]))
    assert float(qat.input.high) == pytest.approx(1 + AVERAGING * 2)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"prepare_qat wants mode 'static' or 'integer'.*got 'dynamic'"):
        prepare_qat(small_cnn(), QuantizationConfig(mode="dynamic"))
    with pytest.raises(ValueError, match="rounding 'nearest', got 'static' and 'gptq'"):
        prepare_qat(small_cnn(), QuantizationConfig(rounding="gptq"))
    with pytest.raises(ValueError, match=r"prepare_qat wants calibration images for Linear, which is no chain"):
        prepare_qat(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"prepare_qat wants an nn.Module, got str"):
        prepare_qat("model")
    with pytest.raises(TypeError, match="convert_qat wants a network from prepare_qat, got Linear"):
        convert_qat(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="range for the output of 'the input', got none yet"):
        convert_qat(prepare_qat(nn.Sequential(nn.Linear(2, 2))))
    with pytest.raises(ValueError, match="finite calibration images"):
        prepare_qat(small_cnn(), calibration=images() * float("nan"))


def test_a_channel_granularity_object_is_enough() -> None:
    assert prepare_qat(small_cnn(), QuantizationConfig(granularity=PerChannel())).config.bits == 8


@pytest.mark.slow
def test_training_at_3_bits_recovers_what_rounding_lost() -> None:
    split, model, config = load_fashion(), load_pretrained("fashion_cnn"), QuantizationConfig(bits=3)
    qat, practice = prepare_qat(model, config, split.calibration), split.train.first(4000)
    recipe = TrainingConfig(epochs=1, learning_rate=5e-4, weight_decay=0.0)
    trained, _ = train(qat, practice.images, practice.labels, recipe, progress=False)
    images_, labels = split.validation.images, split.validation.labels
    with torch.no_grad():
        rounded = accuracy(quantize_model(model, split.calibration, config)(images_), labels)
        recovered = accuracy(convert_qat(trained)(images_), labels)
        before = accuracy(model(images_), labels)
    assert rounded < before - 0.05
    assert recovered > rounded + 0.5 * (before - rounded)
