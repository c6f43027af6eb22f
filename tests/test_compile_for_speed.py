"""compile_for_speed: the fastest kernel that stays within the tolerance is chosen, and the reason is told."""

import pytest
import torch
from torch import nn

from posttrain_lab import compile_for_speed, data, models
from posttrain_lab.kernels.layers import PackedInt4Linear, PackedInt8Conv2d, PackedInt8Linear, SparseLinear
from tests.kernels.cases import floats, pruned
from tests.odd_layers import Noting, encoder, mlp, torch_pruned


def linear(weight: torch.Tensor, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    layer.weight.data = weight.clone()
    return layer


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: compile_for_speed.compile_for_speed(nn.Linear(2, 2), torch.ones(1, 2), kinds=("int9",)),
            ValueError,
            "got 'int9'",
        ),
        (
            lambda: compile_for_speed.compile_for_speed(nn.Linear(2, 2), torch.ones(1, 2), tolerance=-1),
            ValueError,
            "tolerance of 0 or more",
        ),
        (
            lambda: compile_for_speed.compile_for_speed(nn.Linear(2, 2), [1.0]),
            TypeError,
            "a model and a tensor, got Linear and list",
        ),
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

    monkeypatch.setattr(compile_for_speed, "latency", latency)


def test_what_wins_is_chosen_and_said(monkeypatch):
    timed(monkeypatch, {PackedInt8Linear: 0.5, PackedInt8Conv2d: 2.0, SparseLinear: 0.25})
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), linear(floats(18, 36)), nn.Sequential(linear(pruned(9, 18))))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compiled = compile_for_speed.compile_for_speed(model, floats(2, 1, 5, 5))
    assert [one.chosen for one in compiled.choices] == ["as it is", "int8", "sparse"]
    assert [type(compiled.model.get_submodule(one.name)) for one in compiled.choices] == [
        nn.Conv2d,
        PackedInt8Linear,
        SparseLinear,
    ]
    assert "int8_conv takes 2.00 times as long" in str(compiled)
    assert "4.00 times faster" in str(compiled)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert type(model[2]) is nn.Linear
    got, want = compiled.model(floats(2, 1, 5, 5)), model(floats(2, 1, 5, 5))
    assert (got - want).norm() / want.norm() < 0.05


def test_too_large_an_error_is_refused(monkeypatch):
    timed(monkeypatch, {PackedInt4Linear: 0.1})
    compiled = compile_for_speed.compile_for_speed(linear(floats(18, 64)), floats(4, 64), kinds=("int4",), tolerance=0.001)
    assert type(compiled.model) is nn.Linear
    assert "int4 is off by" in compiled.choices[0].reason
    assert (
        type(compile_for_speed.compile_for_speed(linear(floats(18, 64)), floats(4, 64), kinds=("int4",), tolerance=0.5).model)
        is PackedInt4Linear
    )


def test_a_layer_that_no_kernel_takes():
    compiled = compile_for_speed.compile_for_speed(nn.Conv2d(1, 1, 3, dilation=2), floats(1, 1, 9, 9), repeats=1)
    assert compiled.choices[0].chosen == "as it is"
    assert "no dilation" in compiled.choices[0].reason


def test_the_course_s_network_keeps_its_answers(monkeypatch):
    timed(monkeypatch, {PackedInt8Linear: 0.5, PackedInt8Conv2d: 0.5})
    model, images = models.load_pretrained("fashion_cnn"), data.load_fashion().validation.images[:200]
    every = compile_for_speed.compile_for_speed(model, images[:4])
    assert {one.chosen for one in every.choices} == {"int8", "int8_conv"}
    same = (every.model(images).argmax(1) == model(images).argmax(1)).float().mean()
    assert same > 0.97


def whole(monkeypatch, before: float, after: float) -> None:
    """Single layers get twice as fast; the whole model takes `before`, and with a kernel in it `after`."""

    def latency(call, repeats, warmup):
        call()
        net = call.__defaults__[0] if call.__defaults__ else None
        if isinstance(net, nn.Sequential):
            seconds = after if any(isinstance(m, PackedInt8Linear) for m in net.modules()) else before
        else:
            seconds = 0.5 if isinstance(net, PackedInt8Linear) else 1.0
        return seconds, seconds, seconds

    monkeypatch.setattr(compile_for_speed, "latency", latency)


@pytest.mark.parametrize(("before", "after", "kept"), [(3.0, 2.0, True), (2.0, 2.0, True), (2.0, 3.0, False)])
def test_the_whole_model_decides_and_its_number_is_printed(monkeypatch, before, after, kept):
    whole(monkeypatch, before, after)
    model, x = nn.Sequential(linear(floats(18, 36)), nn.ReLU(), linear(floats(9, 18))), floats(2, 36)
    compiled = compile_for_speed.compile_for_speed(model, x)
    assert [one.chosen for one in compiled.choices] == ["int8" if kept else "as it is"] * 2
    assert compiled.seconds == (before, after if kept else before)
    said = f"whole model: {1e3 * before:.3g} ms before, {1e3 * (after if kept else before):.3g} ms after"
    assert said in str(compiled)
    if not kept:
        assert "the whole model takes 1.50 times as long with the kernels" in str(compiled)
        assert torch.equal(compiled.model(x), model(x))


def test_layers_under_two_names_and_layers_that_are_read(monkeypatch):
    whole(monkeypatch, 2.0, 1.0)
    shared = linear(floats(16, 16))
    model, x = nn.Sequential(shared, nn.ReLU(), shared, Noting(linear(floats(4, 16)))), floats(2, 16)
    compiled = compile_for_speed.compile_for_speed(model, x)
    assert compiled.model[0] is compiled.model[2]
    assert isinstance(compiled.model[0], PackedInt8Linear)
    assert type(compiled.model[3].inner) is nn.Linear
    assert [one.name for one in compiled.choices] == ["0"]


def test_kernels_in_a_transformer_layer_are_called(monkeypatch):
    """torch's fast path would unpack the weight of each kernel in every call."""
    whole(monkeypatch, 2.0, 1.0)
    model, x = encoder(), torch.randn(2, 5, 32)
    compiled = compile_for_speed.compile_for_speed(model, x)
    assert {one.name: one.chosen for one in compiled.choices} == {"0.linear1": "int8", "0.linear2": "int8", "1": "int8"}
    with torch.no_grad():
        got, called = compiled.model(x), []
        hook = compiled.model[0].linear1.register_forward_hook(lambda *_: called.append(1))
        assert torch.equal(compiled.model(x), got)
        hook.remove()
        assert called
        assert float((got - model(x)).norm() / model(x).norm()) < 0.05


def test_weights_that_hooks_compute_are_refused():
    with pytest.raises(ValueError, match="compile_for_speed wants weights that are parameters themselves"):
        compile_for_speed.compile_for_speed(mlp(torch_pruned), torch.zeros(1, 8))


def test_where_no_layer_changes_nothing_got_faster():
    """With a real clock: two timings of the same model differ."""
    compiled = compile_for_speed.compile_for_speed(nn.Sequential(nn.Linear(4, 4)), torch.ones(1, 4), kinds=(), repeats=3)
    assert compiled.seconds[0] == compiled.seconds[1]
    assert str(compiled).endswith("1.00 times faster")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_float_types_are_refused_with_what_to_do(dtype):
    with pytest.raises(
        ValueError, match=rf"^compile_for_speed wants a float32 model, got {dtype} in '0.weight'; do model.float\(\)"
    ):
        compile_for_speed.compile_for_speed(mlp().to(dtype), torch.zeros(1, 8).to(dtype))
