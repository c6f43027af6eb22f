"""onnxruntime computes a graph network from its ONNX file: the same codes behind every layer until a float island, near ones behind it."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from posttrain_lab.quantization import QuantizationConfig, quantize_model, to_onnx
from tests.quantization.graphs.test_graphs import Everything, Transformer, relative
from tests.quantization.nets import randn

pytestmark = pytest.mark.slow


class Values(fx.Interpreter):
    """Run the graph and keep every value."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.values: dict[str, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        self.values[n.name] = value = super().run_node(n)
        return value


def run(model: onnx.ModelProto, x: torch.Tensor) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x.numpy()}), strict=True))


def codes_apart(network: nn.Module, x: torch.Tensor) -> tuple[dict[str, int], float]:
    """For each layer the largest difference of its results in the two programs, and the relative difference of the outputs."""
    exported = to_onnx(network, every_layer=True)  # type: ignore[arg-type]
    onnx.checker.check_model(exported, full_check=True)
    got, ours = run(exported, x), Values(network.graph)  # type: ignore[arg-type]
    with torch.no_grad():
        ours.run(x)
        y = network(x)
    apart = {}
    for name, value in got.items():
        if name != "y":
            here = ours.values[name.removeprefix("layer_")].numpy()
            assert here.shape == value.shape
            apart[name] = float(np.abs(here.astype(np.float64) - value).max())
    return apart, relative(torch.from_numpy(got["y"]), y)


def integer(model: nn.Module, x: torch.Tensor, **config: object) -> nn.Module:
    return quantize_model(model.eval(), x, QuantizationConfig(mode="integer", **config))  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [{}, {"bits": 4}, {"activation_bits": 6}])
@pytest.mark.parametrize("n", [1, 7])
def test_every_code_of_a_convolutional_network_is_equal(config: dict, n: int) -> None:
    network = integer(Everything(), randn(24, 3, 16, 16), **config)
    apart, y = codes_apart(network, 1.5 * randn(n, 3, 16, 16, seed=9))  # beyond the calibrated range
    assert len(apart) > 15
    assert set(apart.values()) == {0.0}
    assert y == 0


class Views(nn.Module):
    """The views and float operators that the larger networks use one by one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.token = nn.Conv2d(4, 8, 3), nn.Linear(8, 3), nn.Parameter(torch.randn(1, 1, 8))
        self.norm = nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(self.conv(x), (1, 0, 0, 1))
        left, right = x.chunk(2, 1)
        x = torch.cat([F.silu(left), right.roll((1, -2), (2, 3))], 1)
        first, rest = x[:, :, :1], x[:, :, 1:]
        x = torch.cat([rest, first], 2).movedim(1, -1).flatten(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), self.norm(x)], 1)
        x = x + torch.softmax(x @ x.transpose(1, 2), -1) @ torch.tanh(x)
        return self.head(F.gelu(x).mean(1)) + self.head(x.unbind(1)[1])


@pytest.mark.parametrize(("model", "shape"), [(Transformer, (5, 6)), (Views, (4, 6, 7))])
def test_behind_float_islands_codes_differ_by_one_at_most_here(model: type[nn.Module], shape: tuple[int, ...]) -> None:
    network = integer(model(), randn(24, *shape))
    apart, y = codes_apart(network, randn(5, *shape, seed=9))
    assert max(apart.values()) <= 1
    assert y < 1e-2


def test_tokens() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    tokens = torch.randint(0, 11, (16, 5))
    apart, y = codes_apart(integer(model, tokens), tokens[:4])
    assert set(apart.values()) == {0.0}
    assert y == 0


@pytest.mark.parametrize("mode", ["static", "dynamic", "weight_only"])
def test_other_modes_have_no_form(mode: str) -> None:
    config = QuantizationConfig(mode=mode)  # type: ignore[arg-type]
    network = quantize_model(Transformer().eval(), randn(24, 5, 6), config)
    with pytest.raises((TypeError, ValueError), match=r"to_onnx (has no form for|wants)"):
        to_onnx(network)  # type: ignore[arg-type]


def test_what_has_no_form_is_named() -> None:
    class Sorting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.cumsum(self.first(x), 1))

    with pytest.raises(ValueError, match="no form for the operator 'cumsum'"):
        to_onnx(integer(Sorting(), randn(24, 4)))  # type: ignore[arg-type]


def test_several_outputs_are_refused() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.first(x), self.last(x)

    with pytest.raises(ValueError, match="one tensor as its output"):
        to_onnx(integer(Two(), randn(24, 4)))  # type: ignore[arg-type]
