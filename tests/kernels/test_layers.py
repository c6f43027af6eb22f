"""Layers on the kernels, and compile_for_speed: results, bytes, saving, swapping, choices."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from posttrain_lab import kernels, metrics, models
from posttrain_lab.kernels import layers, speed
from posttrain_lab.kernels.layers import BlockSparseLinear, Int4Linear, Int8Conv2d, Int8Linear, NMLinear, SparseLinear
from tests.kernels.cases import floats, pruned, two_of_four


def linear(weight: torch.Tensor, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    layer.weight.data = weight.clone()
    return layer


def made() -> dict[str, tuple[nn.Module, nn.Module, torch.Tensor]]:
    """name -> (kernel layer, float layer with the weight that it stands for, input)."""
    x, image = floats(3, 5, 24), floats(2, 4, 7, 7)
    dense, sparse, four = linear(floats(18, 24)), linear(pruned(18, 24), bias=False), linear(two_of_four(18, 24))
    conv = nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=2)
    return {
        "int8": (Int8Linear.from_linear(dense), dense, x),
        "int4": (Int4Linear.from_linear(dense, group=8), dense, x),
        "int4 floats": (Int4Linear.from_linear(dense, group=24, activations="float32"), dense, x),
        "conv": (Int8Conv2d.from_conv2d(conv), conv, image),
        "sparse": (SparseLinear.from_linear(sparse), sparse, x),
        "blocks": (BlockSparseLinear.from_linear(sparse, block=8), sparse, x),
        "2:4": (NMLinear.from_linear(four), four, x),
    }


@pytest.mark.parametrize("name", list(made()))
def test_a_layer_stands_for_its_weight(name):
    layer, original, x = made()[name]
    got, want = layer(x), original(x).detach()
    assert got.shape == want.shape
    original.weight.data = layer.weight
    near = original(x).detach()
    assert (got - near).norm() / near.norm() < (0.02 if name in ("int8", "int4", "conv") else 1e-5)
    assert (got - want).norm() / want.norm() < (0.3 if "int4" in name else 0.02)
    assert not list(layer.parameters())


@pytest.mark.parametrize("name", list(made()))
def test_saved_and_loaded(name):
    layer, _, x = made()[name]
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = made()[name][0]
    for buffer in other.buffers():
        buffer.zero_() if buffer.dtype not in (torch.int32,) else None
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x), layer(x))


@pytest.mark.parametrize("name", ["int8", "int4", "conv"])
def test_loaded_into_a_layer_that_holds_nothing_yet(name):
    layer, _, x = made()[name]
    other = made()[name][0].to_empty(device="cpu")
    for buffer in other.buffers():
        buffer.fill_(-1)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))


@pytest.mark.parametrize("name", list(made()))
def test_no_rows_give_no_rows(name):
    layer, original, x = made()[name]
    assert layer(x[:0]).shape == original(x[:0]).shape


@pytest.mark.parametrize("name", list(made()))
def test_the_packed_weight_is_kept_until_its_buffers_change(name):
    layer, _, x = made()[name]
    first, want = layer.packed, layer(x)
    assert layer.packed is first
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert "known" not in vars(other)
        assert torch.equal(other(x), want)
    buffer = next(iter(layer._buffers))
    setattr(layer, buffer, layer._buffers[buffer].clone().zero_())
    assert layer.packed is not first
    assert not torch.equal(layer(x), want)


@pytest.mark.parametrize("name", [name for name in made() if name != "int4 floats"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_other_floats_are_an_error_and_no_wrong_numbers(name, dtype):
    layer, _, x = made()[name]
    layer.bias = None
    want = layer(x)
    with pytest.raises(TypeError, match=r"wants its floats in float32, got torch\..*; use \.float\(\)"):
        layer.to(dtype)(x)
    if dtype == torch.float64:
        assert torch.equal(layer.float()(x), want)


def test_codes_are_saved_in_rows():
    layer = Int8Linear.from_linear(linear(floats(18, 24)))
    assert layer.state_dict()["codes"].shape == (18, 24)
    assert layer.state_dict()["codes"].dtype == torch.int8
    with pytest.raises(RuntimeError, match="size mismatch for codes"):
        Int8Linear.from_linear(linear(floats(18, 26))).load_state_dict(layer.state_dict())


def test_bytes_and_macs_are_counted():
    dense = linear(floats(32, 64))
    layer = Int8Linear.from_linear(dense)
    assert metrics.model_bytes(layer) == layer.packed.bytes + 4 * 32
    assert metrics.macs(layer, torch.ones(1, 64)) == metrics.macs(dense, torch.ones(1, 64)) == 32 * 64
    conv = nn.Conv2d(4, 6, 3, padding=1)
    assert metrics.macs(Int8Conv2d.from_conv2d(conv), torch.ones(1, 4, 5, 5)) == metrics.macs(conv, torch.ones(1, 4, 5, 5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_a_layer_compiles_and_exports():
    model = nn.Sequential(Int8Conv2d.from_conv2d(nn.Conv2d(1, 4, 3)), nn.Flatten(), Int8Linear.from_linear(linear(floats(5, 36))))
    x = floats(2, 1, 5, 5)
    want = model(x)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(x), want)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), want)
    batch = torch.export.Dim("batch", min=1, max=16)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(torch.cat([x, x, x]))[:2], want)


@pytest.mark.slow
def test_an_exported_layer_takes_inputs_with_a_gradient():
    layer, x = Int8Linear.from_linear(linear(floats(5, 36))), floats(2, 36)
    exported = torch.export.export(layer, (x,)).module()
    assert torch.equal(exported(x.clone().requires_grad_()), layer(x))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Int8Linear.from_linear(nn.Conv2d(1, 1, 1)), TypeError, "Int8Linear wants an nn.Linear, got Conv2d"),
        (lambda: Int8Conv2d.from_conv2d(nn.Linear(1, 1)), TypeError, "Int8Conv2d wants an nn.Conv2d, got Linear"),
        (lambda: Int8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, dilation=2)), ValueError, r"no dilation, got .*dilation \(2, 2\)"),
        (lambda: Int8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, stride=(1, 2))), ValueError, "one stride"),
        (lambda: Int8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), ValueError, "reflect"),
        (lambda: Int8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3))(torch.ones(1, 5, 5)), ValueError, r"\[n, c, h, w\], got \(1, 5, 5\)"),
        (lambda: NMLinear.from_linear(nn.Linear(8, 2)), ValueError, "at most 2 weights in each 4"),
        (lambda: speed.compile_for_speed(nn.Linear(2, 2), torch.ones(1, 2), kinds=("int9",)), ValueError, "got 'int9'"),
        (lambda: speed.compile_for_speed(nn.Linear(2, 2), torch.ones(1, 2), tolerance=-1), ValueError, "tolerance of 0 or more"),
        (lambda: speed.compile_for_speed(nn.Linear(2, 2), [1.0]), TypeError, "a model and a tensor, got Linear and list"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def timed(monkeypatch, faster: dict[type, float]) -> None:
    """The clock says what the test wants: seconds by class of layer."""

    def latency(call, repeats, warmup):
        call()
        seconds = faster.get(type(call.__defaults__[0]), 1.0)
        return seconds, seconds, seconds

    monkeypatch.setattr(speed, "latency", latency)


def test_what_wins_is_chosen_and_said(monkeypatch):
    timed(monkeypatch, {Int8Linear: 0.5, Int8Conv2d: 2.0, SparseLinear: 0.25})
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), linear(floats(18, 36)), nn.Sequential(linear(pruned(9, 18))))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compiled = speed.compile_for_speed(model, floats(2, 1, 5, 5))
    assert [one.chosen for one in compiled.choices] == ["as it is", "int8", "sparse"]
    assert [type(compiled.model.get_submodule(one.name)) for one in compiled.choices] == [nn.Conv2d, Int8Linear, SparseLinear]
    assert "int8_conv takes 2.00 times as long" in str(compiled)
    assert "4.00 times faster" in str(compiled)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert type(model[2]) is nn.Linear
    got, want = compiled.model(floats(2, 1, 5, 5)), model(floats(2, 1, 5, 5))
    assert (got - want).norm() / want.norm() < 0.05


def test_too_large_an_error_is_refused(monkeypatch):
    timed(monkeypatch, {Int4Linear: 0.1})
    compiled = speed.compile_for_speed(linear(floats(18, 64)), floats(4, 64), kinds=("int4",), tolerance=0.001)
    assert type(compiled.model) is nn.Linear
    assert "int4 is off by" in compiled.choices[0].reason
    assert (
        type(speed.compile_for_speed(linear(floats(18, 64)), floats(4, 64), kinds=("int4",), tolerance=0.5).model) is Int4Linear
    )


def test_a_layer_that_no_kernel_takes():
    compiled = speed.compile_for_speed(nn.Conv2d(1, 1, 3, dilation=2), floats(1, 1, 9, 9), repeats=1)
    assert compiled.choices[0].chosen == "as it is"
    assert "no dilation" in compiled.choices[0].reason


def test_the_course_s_network_keeps_its_answers(monkeypatch):
    from posttrain_lab import data

    timed(monkeypatch, {Int8Linear: 0.5, Int8Conv2d: 0.5})
    model, images = models.load_pretrained("fashion_cnn"), data.load_fashion().validation.images[:200]
    every = speed.compile_for_speed(model, images[:4])
    assert {one.chosen for one in every.choices} == {"int8", "int8_conv"}
    same = (every.model(images).argmax(1) == model(images).argmax(1)).float().mean()
    assert same > 0.97


def test_every_kind_has_a_layer():
    assert {layer.kind for layer in vars(layers).values() if isinstance(getattr(layer, "kind", None), type)} == {
        getattr(kernels, name) for name in kernels.__all__ if name.endswith("Weight")
    }
