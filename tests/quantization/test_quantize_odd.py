"""Networks whose layers are not what their class says, stand in two places, or are not float32."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.quantization import QuantizationConfig, convert_qat, fold_model, prepare_qat, quantize_model
from posttrain_lab.quantization.layers import DynamicConv2d, DynamicLinear
from tests.odd_layers import (
    HOOKED,
    PARAMETRIZED,
    Doubling,
    Leaky,
    Noting,
    PlainConv,
    PlainLinear,
    PlainSequential,
    Residual,
    Standardized,
    StandardizedInside,
    encoder,
    mlp,
    patched,
    relative,
)

CHAINS, ANY = ("static", "integer"), ("dynamic", "weight_only")


def config(mode: str) -> QuantizationConfig:
    return QuantizationConfig(mode=mode)


def unshared(model: nn.Module) -> nn.Sequential:
    """The same computation with a copy at every place."""
    return nn.Sequential(*[unshared(m) if isinstance(m, nn.Sequential) else copy.deepcopy(m) for m in model]).eval()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=7), st.booleans())
def test_a_layer_in_two_places_is_quantized_in_both(places, nested):
    """Against the same chain of copies: equal code by code, whatever is shared."""
    torch.manual_seed(0)
    pool = [nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Identity()]
    layers = [pool[place] for place in places]
    model = nn.Sequential(nn.Sequential(*layers) if nested else pool[1], *layers, nn.Linear(8, 4)).eval()
    x = torch.randn(64, 8)
    for mode in CHAINS:
        assert torch.equal(quantize_model(model, x, config(mode))(x), quantize_model(unshared(model), x, config(mode))(x))
    assert torch.equal(prepare_qat(model, None, x).eval()(x), prepare_qat(unshared(model), None, x).eval()(x))


def test_shared_layers_are_close_to_the_float_network():
    torch.manual_seed(0)
    relu, linear, pool = nn.ReLU(), nn.Linear(16, 16), nn.MaxPool2d(2)
    nets = {
        "relu": (nn.Sequential(nn.Linear(8, 16), relu, nn.Linear(16, 16), relu, nn.Linear(16, 4)), torch.randn(128, 8)),
        "linear": (nn.Sequential(nn.Linear(8, 16), linear, nn.ReLU(), linear, nn.ReLU(), linear), torch.randn(128, 8)),
        "pool": (
            nn.Sequential(nn.Conv2d(1, 4, 3), pool, nn.Conv2d(4, 4, 3), pool, nn.Flatten(), nn.Linear(36, 3)),
            torch.rand(64, 1, 18, 18),
        ),
    }
    for model, x in nets.values():
        for mode in CHAINS:
            assert relative(quantize_model(model.eval(), x, config(mode))(x), model(x)) < 0.03
        qat = prepare_qat(model, None, x)
        assert relative(convert_qat(qat)(x), model(x)) < 0.03


OWN = {
    "1.*Residual": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), Residual(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()), nn.Flatten(), nn.Linear(64, 2)
    ),
    "0.*Standardized": lambda: nn.Sequential(Standardized(1, 4, 3), nn.Flatten(), nn.Linear(64, 2)),
    "0.*StandardizedInside": lambda: nn.Sequential(StandardizedInside(1, 4, 3), nn.Flatten(), nn.Linear(64, 2)),
    "1.*Leaky": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Leaky(), nn.Flatten(), nn.Linear(64, 2)),
    "1.0.*Leaky": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(Leaky()), nn.Flatten(), nn.Linear(64, 2)),
    "2.*Doubling": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), Doubling(64, 2)),
    "2.*Linear": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), patched(nn.Linear(64, 2))),
}


@pytest.mark.parametrize("where", OWN)
def test_a_layer_with_a_forward_of_its_own_is_traced(where):
    """Taken for its base class it would give nonsense; training with rounding asks for the images that trace it."""
    torch.manual_seed(0)
    model, x = OWN[where]().eval(), torch.rand(8, 1, 6, 6)
    for mode in (*CHAINS, *ANY):
        assert relative(quantize_model(model, x, config(mode))(x), model(x)) < 0.03
    with pytest.raises(ValueError, match="prepare_qat wants calibration images for Sequential, which is no chain of layers"):
        prepare_qat(model)


@pytest.mark.parametrize("mode", ANY)
def test_without_images_such_layers_stay_whole_and_a_warning_says_so(mode):
    torch.manual_seed(0)
    model, x = (
        nn.Sequential(Standardized(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), Doubling(16, 2)).eval(),
        torch.rand(8, 1, 6, 6),
    )
    with pytest.warns(UserWarning, match=r"^quantize_model leaves '0 \(Standardized\)', '4 \(Doubling\)' in float"):
        small = quantize_model(model, x[:0], config(mode))
    assert [type(small[i]).__name__ for i in (0, 4)] == ["Standardized", "Doubling"]
    assert type(small[2]) is not nn.Conv2d
    assert relative(small(x), model(x)) < 0.03
    with pytest.raises(ValueError, match=r"got only '0 \(Doubling\)'"):
        quantize_model(nn.Sequential(Doubling(2, 2)), x[:0], config(mode))


@pytest.mark.parametrize("mode", [*CHAINS, *ANY])
def test_subclasses_that_keep_forward_are_quantized_as_their_base(mode):
    torch.manual_seed(0)
    body = [PlainConv(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), PlainLinear(64, 3)]
    model, x = PlainSequential(PlainSequential(*body[:3]), *body[3:]).eval(), torch.rand(32, 1, 6, 6)
    base = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), nn.Flatten(), nn.Linear(64, 3)).eval()
    base.load_state_dict(model.state_dict())
    assert torch.equal(quantize_model(model, x, config(mode))(x), quantize_model(base, x, config(mode))(x))


@pytest.mark.parametrize("mode", ANY)
def test_transformer_layers_of_torch_call_the_quantized_layers(mode):
    """torch's fast path would read the weights: then "dynamic" would give what "weight_only" gives."""
    model, x = encoder(), torch.randn(4, 7, 32)
    small = quantize_model(model, x, config(mode))
    seen = []
    hooks = [small[0].linear1.register_forward_hook(lambda *_: seen.append(1))]
    with torch.no_grad():
        hooked, want = small(x), model(x)
        hooks[0].remove()
        assert torch.equal(small(x), hooked)  # hooks turn the fast path off as well: without them nothing may change
    assert seen
    assert 0 < relative(hooked, want) < 0.03


def test_a_layer_whose_weight_is_read_stays_as_it_is_without_images():
    model = nn.Sequential(Noting(nn.Linear(8, 8)), nn.Linear(8, 2)).eval()
    with pytest.warns(UserWarning, match=r"leaves '0.inner \(Linear\)' in float: .* read without a call"):
        small = quantize_model(model, torch.randn(0, 8), config("dynamic"))
    assert type(small[0].inner) is nn.Linear
    assert type(small[1]) is DynamicLinear


@pytest.mark.parametrize("mode", ANY)
def test_one_layer_under_two_names_is_replaced_under_both(mode):
    shared = nn.Conv2d(2, 2, 3, padding=1)
    model, x = nn.ModuleDict({"a": shared, "b": nn.Sequential(nn.ReLU(), shared)}), torch.rand(1, 2, 4, 4)
    small = quantize_model(model, x, config(mode))
    assert small["a"] is small["b"][1]
    assert isinstance(small["a"], DynamicConv2d) == (mode == "dynamic")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", [*CHAINS, *ANY])
def test_other_float_types_are_refused_with_what_to_do(dtype, mode):
    model, x = mlp(), torch.randn(9, 8)
    with pytest.raises(
        ValueError, match=rf"^quantize_model wants a float32 model, got {dtype} in '0.weight'; do model.float\(\)"
    ):
        quantize_model(copy.deepcopy(model).to(dtype), x.to(dtype), config(mode))
    if mode in CHAINS:
        with pytest.raises(ValueError, match=rf"wants float32 calibration images, .* got {dtype}; use .float\(\)"):
            quantize_model(model, x.to(dtype), config(mode))
        with pytest.raises(ValueError, match=r"^prepare_qat wants a float32 model"):
            prepare_qat(copy.deepcopy(model).to(dtype))


@pytest.mark.parametrize("name", HOOKED)
def test_weights_that_hooks_compute_are_refused(name):
    for call in (lambda m: quantize_model(m, torch.randn(9, 8)), prepare_qat, fold_model):
        with pytest.raises(ValueError, match="wants weights that are parameters themselves, got layer '0'"):
            call(mlp(HOOKED[name]))


@pytest.mark.parametrize("mode", [*CHAINS, *ANY])
@pytest.mark.parametrize("name", PARAMETRIZED)
def test_parametrized_weights_are_quantized_as_they_are_used(name, mode):
    x = torch.randn(64, 8)
    model = nn.Sequential(PARAMETRIZED[name](nn.Linear(8, 16)), nn.ReLU(), nn.Linear(16, 4)).eval()
    plain = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    with torch.no_grad():
        for one, other in zip(plain, model, strict=True):
            if isinstance(one, nn.Linear):
                one.weight.copy_(other.weight)
                one.bias.copy_(other.bias)
    before = model(x)
    assert torch.equal(quantize_model(model, x, config(mode))(x), quantize_model(plain, x, config(mode))(x))
    assert torch.equal(model(x), before)


def test_folding_leaves_other_classes_alone():
    class Whitening(nn.BatchNorm2d):
        def forward(self, input):
            return super().forward(input) + 1

    torch.manual_seed(0)
    for layers in (
        [Standardized(1, 2, 3), nn.BatchNorm2d(2)],
        [nn.Conv2d(1, 2, 3), Whitening(2)],
        [Residual(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))],
    ):
        model, x = nn.Sequential(*layers).eval(), torch.rand(2, 1, 5, 5)
        folded = fold_model(model)
        assert len(folded) == len(model)
        assert torch.equal(folded(x), model(x))
    shared = nn.Conv2d(1, 1, 3, padding=1)
    model = nn.Sequential(shared, nn.BatchNorm2d(1), shared).eval()
    assert [type(layer).__name__ for layer in fold_model(model)] == ["Conv2d", "Conv2d"]
    assert torch.allclose(fold_model(model)(x), model(x), atol=1e-6)


@pytest.mark.parametrize("mode", CHAINS)
@pytest.mark.parametrize("end", ["tokens", "flat"])
def test_linear_layers_on_tokens(mode, end):
    """Inputs [n, tokens, features], which calibration accepts, run too."""
    torch.manual_seed(0)
    head = [nn.Linear(16, 4)] if end == "tokens" else [nn.Flatten(), nn.Linear(80, 4)]
    model, x = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), *head).eval(), torch.randn(64, 5, 8)
    small = quantize_model(model, x, config(mode))
    assert small(x).shape == model(x).shape
    assert relative(small(x), model(x)) < 0.03
