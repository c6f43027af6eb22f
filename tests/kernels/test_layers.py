"""Layers on the kernels: results, bytes, saving, swapping."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from posttrain_lab import kernels, metrics
from posttrain_lab.kernels import layers
from posttrain_lab.kernels.layers import (
    BlockSparseLinear,
    NMLinear,
    PackedInt4Linear,
    PackedInt8Conv2d,
    PackedInt8Linear,
    SparseLinear,
)
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
        "int8": (PackedInt8Linear.from_linear(dense), dense, x),
        "int4": (PackedInt4Linear.from_linear(dense, group=8), dense, x),
        "int4 floats": (PackedInt4Linear.from_linear(dense, group=24, activations="float32"), dense, x),
        "conv": (PackedInt8Conv2d.from_conv2d(conv), conv, image),
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
    layer = PackedInt8Linear.from_linear(linear(floats(18, 24)))
    assert layer.state_dict()["codes"].shape == (18, 24)
    assert layer.state_dict()["codes"].dtype == torch.int8
    with pytest.raises(RuntimeError, match="size mismatch for codes"):
        PackedInt8Linear.from_linear(linear(floats(18, 26))).load_state_dict(layer.state_dict())


def test_bytes_and_macs_are_counted():
    dense = linear(floats(32, 64))
    layer = PackedInt8Linear.from_linear(dense)
    assert metrics.model_bytes(layer) == layer.packed.bytes + 4 * 32
    assert metrics.macs(layer, torch.ones(1, 64)) == metrics.macs(dense, torch.ones(1, 64)) == 32 * 64
    conv = nn.Conv2d(4, 6, 3, padding=1)
    assert metrics.macs(PackedInt8Conv2d.from_conv2d(conv), torch.ones(1, 4, 5, 5)) == metrics.macs(conv, torch.ones(1, 4, 5, 5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_a_layer_compiles_and_exports():
    model = nn.Sequential(
        PackedInt8Conv2d.from_conv2d(nn.Conv2d(1, 4, 3)), nn.Flatten(), PackedInt8Linear.from_linear(linear(floats(5, 36)))
    )
    x = floats(2, 1, 5, 5)
    want = model(x)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(x), want)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), want)
    batch = torch.export.Dim("batch", min=1, max=16)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(torch.cat([x, x, x]))[:2], want)


@pytest.mark.slow
def test_an_exported_layer_takes_inputs_with_a_gradient():
    layer, x = PackedInt8Linear.from_linear(linear(floats(5, 36))), floats(2, 36)
    exported = torch.export.export(layer, (x,)).module()
    assert torch.equal(exported(x.clone().requires_grad_()), layer(x))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: PackedInt8Linear.from_linear(nn.Conv2d(1, 1, 1)), TypeError, "PackedInt8Linear wants an nn.Linear, got Conv2d"),
        (lambda: PackedInt8Conv2d.from_conv2d(nn.Linear(1, 1)), TypeError, "PackedInt8Conv2d wants an nn.Conv2d, got Linear"),
        (
            lambda: PackedInt8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, dilation=2)),
            ValueError,
            r"no dilation, got .*dilation \(2, 2\)",
        ),
        (lambda: PackedInt8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, stride=(1, 2))), ValueError, "one stride"),
        (lambda: PackedInt8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), ValueError, "reflect"),
        (
            lambda: PackedInt8Conv2d.from_conv2d(nn.Conv2d(1, 1, 3))(torch.ones(1, 5, 5)),
            ValueError,
            r"\[n, c, h, w\], got \(1, 5, 5\)",
        ),
        (lambda: NMLinear.from_linear(nn.Linear(8, 2)), ValueError, "at most 2 weights in each 4"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_every_kind_has_a_layer():
    assert {layer.kind for layer in vars(layers).values() if isinstance(getattr(layer, "kind", None), type)} == {
        getattr(kernels, name) for name in kernels.__all__ if name.endswith("Weight")
    }
