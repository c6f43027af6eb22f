"""Networks that are no chains: the graph equals the network, the simulation lies on its grids, the integers agree with it."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from posttrain_lab.metrics import macs
from posttrain_lab.quantization import GraphNetwork, QuantizationConfig, convert_qat, fold_model, prepare_qat, quantize_model
from posttrain_lab.quantization.graphs.capture import capture, op_name
from posttrain_lab.quantization.graphs.integer_layers import FromCodes, IntegerTable, ToCodes
from posttrain_lab.quantization.graphs.layers import put_layers
from posttrain_lab.quantization.graphs.network import GridRounding
from posttrain_lab.quantization.layers import CodedLayer, DynamicLinear
from tests.quantization.nets import randn

pytestmark = pytest.mark.slow


class Everything(nn.Module):
    """A stem, squeeze and excitation, a depthwise convolution, shuffled channels, a concatenation, norms with and without a home."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.deep, self.squeeze, self.excite = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.grouped, self.alone = nn.Conv2d(16, 16, 1, groups=2), nn.BatchNorm2d(16)
        self.scale = nn.Parameter(torch.rand(16, 1, 1) + 0.5)
        self.head = nn.Linear(16, 5)
        for norm in (self.norm, self.alone):
            nn.init.uniform_(norm.weight, 0.5, 2.0)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self.norm(self.stem(x)), inplace=True)
        y = F.hardswish(self.deep(x))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        y += x
        x = torch.cat([F.max_pool2d(y, 3, 2, 1), F.avg_pool2d(y, 3, 2, 1)], 1)
        x = x.unflatten(1, (2, 8)).transpose(1, 2).flatten(1, 2)
        x = F.relu(self.alone(self.grouped(x)).add_(1.0)) * self.scale - 0.1 * x
        return self.head(F.gelu(x).mean((2, 3)))


class Transformer(nn.Module):
    """Token codes, layer norm, attention of torch's own layer with its fast path."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.place = nn.Linear(6, 16), nn.Parameter(torch.randn(1, 5, 16))
        self.block = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.embed(x) + self.place)[:, 0])


class Standardized(nn.Conv2d):
    """A forward of its own: the weights are standardized first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = (self.weight - self.weight.mean((1, 2, 3), True)) / self.weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class Skip(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class Leaky(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(x, 0.5)


class Plain(nn.Conv2d):
    """A name of its own, and Conv2d's forward."""


def shared() -> nn.Module:
    torch.manual_seed(0)
    relu, layer = nn.ReLU(), nn.Linear(8, 8)
    return nn.Sequential(layer, relu, layer, relu, nn.Linear(8, 4))


def head() -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(6 * 64, 5)]


def small(first: nn.Module, *rest: nn.Module) -> nn.Module:
    return nn.Sequential(first, *rest, *head())


def weight_norm() -> nn.Module:
    return nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 6, 3, padding=1))


MODELS = {
    "everything": (Everything, (3, 16, 16)),
    "transformer": (Transformer, (5, 6)),
    "one layer object twice": (shared, (8,)),
    "a Sequential with a skip": (
        lambda: small(nn.Conv2d(3, 6, 3, padding=1), Skip(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU())),
        (3, 8, 8),
    ),
    "standardized weights": (lambda: small(Standardized(3, 6, 3, padding=1), nn.ReLU()), (3, 8, 8)),
    "a ReLU that leaks": (lambda: small(nn.Conv2d(3, 6, 3, padding=1), Leaky()), (3, 8, 8)),
    "a subclass without a forward": (lambda: small(Plain(3, 6, 3, padding=1), nn.ReLU()), (3, 8, 8)),
    "weight norm": (lambda: small(weight_norm(), nn.ReLU()), (3, 8, 8)),
}


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(1)
    build, shape = MODELS[name]
    return build().eval(), randn(24, *shape)


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).detach().norm() / want.detach().norm())


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_computes_what_the_network_does(name: str) -> None:
    model, x = made(name)
    graph = capture(model, x, "this test")
    put_layers(graph)
    with torch.no_grad():
        assert torch.allclose(graph(x[:5]), model(x[:5]), rtol=1e-4, atol=1e-5)
    assert not any(op_name(node).endswith("_") or "batch_norm" in op_name(node) for node in graph.graph.nodes)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["static", "integer", "dynamic", "weight_only"])
@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_every_mode_is_near_the_float_network_and_leaves_it_alone(name: str, mode: str, rounding: str) -> None:
    model, x = made(name)
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    got = quantize_model(model, x, QuantizationConfig(mode=mode, rounding=rounding))  # type: ignore[arg-type]
    with torch.no_grad():
        assert relative(got(x), model(x)) < 0.03
        assert got(x[:1]).shape == model(x[:1]).shape
    assert not got.training
    assert all(torch.equal(kept[key], value) for key, value in model.state_dict().items())


def test_all_products_of_a_convolutional_network_are_integers() -> None:
    model, x = made("everything")
    network = quantize_model(model, x, QuantizationConfig(mode="integer"))
    assert isinstance(network, GraphNetwork)
    assert network.report.share == 1.0
    assert network.report.islands == ()
    assert macs(network, x[:1]) == macs(model, x[:1]) == sum(part.macs for part in network.report.parts)
    assert str(network.report).startswith("100.0 % of the multiply-accumulates are done in integers")


def test_a_transformer_keeps_its_norms_and_softmax_in_named_islands() -> None:
    model, x = made("transformer")
    network = quantize_model(model, x, QuantizationConfig(mode="integer"))
    islands = {part.operator: part.why for part in network.report.islands}
    assert islands["layer_norm"] == "needs the mean and variance of each row"
    assert "softmax" in islands["scaled_dot_product_attention"]
    assert [part.line for part in network.report.parts if "self.head(" in part.line]
    assert network.report.share == pytest.approx(1 - 2 * 5 * 5 * 16 / sum(part.macs for part in network.report.parts))
    borders = [type(module) for module in network.modules() if isinstance(module, ToCodes | FromCodes)]
    assert ToCodes in borders


class Floats(TorchDispatchMode):
    """Counts operations on floats."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        leaves = torch.utils._pytree.tree_leaves((args, kwargs, out))
        if any(isinstance(one, torch.Tensor) and one.is_floating_point() for one in leaves):
            self.names.append(str(func))
        return out


def test_no_float_between_the_borders() -> None:
    """The first node makes codes, the last products give the float output; what lies between sees integers only."""
    model, x = made("everything")
    network = quantize_model(model, x, QuantizationConfig(mode="integer"))
    inside = []

    def before(module: nn.Module, _: object) -> None:
        spy = Floats()
        spy.__enter__()
        inside.append((module, spy))

    def after(module: nn.Module, *_: object) -> None:
        inside[-1][1].__exit__(None, None, None)

    layers = [one for one in network.graph.children() if not isinstance(one, ToCodes | FromCodes)]
    for layer in layers:
        layer.register_forward_pre_hook(before)
        layer.register_forward_hook(after)
    network(x)
    seen = {type(module).__name__: spy.names for module, spy in inside if getattr(module, "y", 0) is not None}
    assert len(seen) >= 8
    assert any(isinstance(one, IntegerTable) for one in layers)
    assert all(names == [] for names in seen.values()), seen
    functions = [node for node in network.graph.graph.nodes if node.op == "call_function"]
    assert {op_name(node) for node in functions} <= {"unflatten", "transpose", "flatten", "view", "clone", "contiguous"}


@pytest.mark.parametrize("config", [{}, {"bits": 4}, {"activation_bits": 6}, {"observer": "percentile"}, {"rounding": "gptq"}])
def test_integers_and_their_simulation_agree(config: dict) -> None:
    model, x = made("everything")
    static = quantize_model(model, x, QuantizationConfig(**config))
    integer = quantize_model(model, x, QuantizationConfig(mode="integer", **config))
    floats = [module.codes for module in static.modules() if isinstance(module, GridRounding)]
    kept = [one.y for one in integer.modules() if isinstance(getattr(one, "y", None), type(floats[-1])) or hasattr(one, "y")]
    assert floats
    assert kept
    with torch.no_grad():
        want = model(x)
        assert relative(integer(x), static(x)) < max(0.01, 0.7 * relative(static(x), want))


def test_values_lie_on_the_grids_that_the_codes_have() -> None:
    model, x = made("everything")
    network = quantize_model(model, x)
    seen: list[tuple[GridRounding, torch.Tensor]] = []
    for module in network.modules():
        if isinstance(module, GridRounding):
            module.register_forward_hook(lambda module, _, out: seen.append((module, out)))
    network(x)
    assert {module.codes.bits for module, _ in seen} == {8, 16}
    for module, values in seen:
        codes = values.double() / module.codes.scale + module.codes.zero_point
        assert float((codes - codes.round()).abs().max()) < 0.01
        assert float(codes.round().abs().max()) <= 2 ** (module.codes.bits - 1)


@pytest.mark.parametrize("name", ["everything", "transformer", "one layer object twice"])
@pytest.mark.parametrize("mode", ["static", "integer"])
def test_training_starts_from_and_converts_to_the_quantized_network(name: str, mode: str) -> None:
    model, x = made(name)
    config = QuantizationConfig(mode=mode)  # type: ignore[arg-type]
    network = prepare_qat(model, config, x)
    assert torch.equal(convert_qat(network)(x), quantize_model(model, x, config)(x))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    network(x).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    optimizer.step()
    with torch.no_grad():
        trained = network.eval()(x)
        assert relative(convert_qat(network)(x), trained) < (1e-6 if mode == "static" else 0.02)
        assert not torch.equal(trained, quantize_model(model, x, config)(x))
    again = convert_qat(copy.deepcopy(network))
    assert torch.equal(again(x), convert_qat(network)(x))


@pytest.mark.parametrize("training", [True, False])
def test_folding_any_network_keeps_its_class_and_what_it_computes(training: bool) -> None:
    model, x = made("everything")
    folded = fold_model(model.train(training), x)
    assert type(folded) is Everything
    assert folded.training is training
    assert isinstance(folded.norm, nn.Identity)
    assert isinstance(folded.alone, nn.Identity)
    with torch.no_grad():
        assert torch.allclose(folded.eval()(x), model.eval()(x), rtol=1e-4, atol=1e-4)


def test_dynamic_reaches_attention_and_functions_that_read_a_layers_weight() -> None:
    model, x = made("transformer")
    network = quantize_model(model, x, QuantizationConfig(mode="dynamic"))
    assert sum(isinstance(module, DynamicLinear) for module in network.modules()) == 2 + 4 + 2

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(x, self.layer.weight, self.layer.bias)

    reads = Reads().eval()
    traced = quantize_model(reads, x, QuantizationConfig(mode="dynamic"))
    assert isinstance(traced, GraphNetwork)
    assert any(isinstance(module, CodedLayer) for module in traced.modules())
    with pytest.raises(ValueError, match=r"got only 'layer \(Linear\)', which compute something else"):
        quantize_model(reads, x[:0], QuantizationConfig(mode="dynamic"))


def test_what_cannot_be_traced_names_the_line() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.sum() > 0:  # depends on the values
                return x
            return self.layer(x)

    with pytest.raises(ValueError, match=r"test_graphs.py, line \d+, in forward: if x.sum\(\) > 0"):
        quantize_model(Asks(), randn(4, 2))


def test_what_is_quantized_already_is_refused() -> None:
    x, build = randn(24, 4), lambda: nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)).eval()
    chain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    quantized = [
        quantize_model(model, x, QuantizationConfig(mode=mode)) for model in (build(), chain) for mode in ("static", "integer")
    ]
    for made in [*quantized, prepare_qat(build(), None, x), prepare_qat(chain, None, x)]:
        with pytest.raises(ValueError, match=r"quantize_model wants a float network, got one with .* it is quantized already"):
            quantize_model(made, x)
        with pytest.raises(ValueError, match="prepare_qat wants a float network"):
            prepare_qat(made, None, x)


def test_two_inputs_and_lists_are_refused() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, z: torch.Tensor, more: torch.Tensor | None = None) -> torch.Tensor:
            return self.layer(x + z)

    with pytest.raises(ValueError, match=r"one input, got forward\(x, z\)"):
        quantize_model(Two(), randn(24, 4))
    network = quantize_model(Everything().eval(), randn(8, 3, 16, 16))
    with pytest.raises(TypeError, match=r"wants a tensor \[n, 3, 16, 16\], got list"):
        network([randn(8, 3, 16, 16)])


def test_no_examples_give_no_outputs() -> None:
    for mode in ("static", "integer"):
        network = quantize_model(Everything().eval(), randn(8, 3, 16, 16), QuantizationConfig(mode=mode))  # type: ignore[arg-type]
        assert network(torch.zeros(0, 3, 16, 16)).shape == (0, 5)


def test_a_fixed_number_of_examples_is_named() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).reshape(len(x), 2, 2)

    with pytest.raises(ValueError, match=r"makes the number of examples a fixed number, as len\(x\) does; write x.shape\[0\]"):
        quantize_model(Counted(), randn(24, 4))


@pytest.mark.parametrize("mode", ["static", "integer"])
def test_the_float_weights_are_gone(mode: str) -> None:
    model, x = made("everything")
    network = quantize_model(model, x, QuantizationConfig(mode=mode))  # type: ignore[arg-type]
    assert not any(value.is_floating_point() and value.ndim > 1 for value in network.state_dict().values())
    loaded = quantize_model(model, x[:8], QuantizationConfig(mode=mode))  # type: ignore[arg-type]
    loaded.load_state_dict(network.state_dict())


def test_a_network_of_tokens() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(0, 30, (24, 7), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Embedding(30, 8), nn.Flatten(), nn.Linear(56, 8), nn.GELU(), nn.Linear(8, 3)).eval()
    for mode in ("static", "integer", "dynamic", "weight_only"):
        network = quantize_model(model, tokens, QuantizationConfig(mode=mode))  # type: ignore[arg-type]
        assert relative(network(tokens), model(tokens)) < 0.02
    report = quantize_model(model, tokens).report
    assert [part.operator for part in report.islands] == ["embedding", "flatten"]
    with pytest.raises(TypeError, match=r"float tensor or Dataset, got torch.int64"):
        quantize_model(model[2:], tokens)


@pytest.mark.parametrize("mode", ["static", "integer"])
def test_a_graph_network_can_be_saved_whole(mode: str) -> None:
    model, x = made("everything")
    network, file = quantize_model(model, x, QuantizationConfig(mode=mode)), io.BytesIO()  # type: ignore[arg-type]
    torch.save(network, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), network(x))


def test_other_sizes_are_refused() -> None:
    model, x = made("everything")
    network = quantize_model(model, x)
    with pytest.raises(ValueError, match=r"traced for inputs \[3, 16, 16\], got \[3, 8, 8\]"):
        network(x[..., :8, :8])
