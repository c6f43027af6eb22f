"""AWQ and SmoothQuant: the output stays, the rounding error shrinks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from posttrain_lab.quantization.affine import fake_quantize_weight
from posttrain_lab.quantization.granularity import PerChannel
from posttrain_lab.quantization.scaling import awq_scale, smooth_pair, smoothquant

pytestmark = pytest.mark.slow


def with_outliers(tokens: int, features: int, seed: int) -> torch.Tensor:
    """Inputs of which two features are 50 times as large as the others."""
    x = torch.randn(tokens, features, generator=torch.Generator().manual_seed(seed))
    x[:, [1, features - 2]] *= 50
    return x


def error_with(scale: torch.Tensor, weight: torch.Tensor, inputs: torch.Tensor, bits: int) -> float:
    rounded = fake_quantize_weight(weight * scale, bits, PerChannel()) / scale
    return float((inputs @ (rounded - weight).T).square().mean())


@pytest.mark.parametrize("seed", range(4))
def test_awq_halves_the_error_on_inputs_it_has_not_seen(seed: int) -> None:
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(seed + 50))
    seen, held_out = with_outliers(200, 32, seed), with_outliers(200, 32, seed + 20)
    scale = awq_scale(weight, seen, bits=3)
    assert error_with(scale, weight, held_out, 3) < 0.5 * error_with(torch.ones(32), weight, held_out, 3)
    assert float(scale.max() * scale.min()) == pytest.approx(1, rel=1e-5)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.integers(2, 8), st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000))
def test_awq_is_never_worse_than_plain_rounding_on_its_inputs(bits: int, out: int, features: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, inputs = torch.randn(out, features, generator=generator), torch.randn(7, features, generator=generator)
    inputs[:, 0] = 0  # a feature that is never seen
    scale = awq_scale(weight, inputs, bits)
    assert bool((scale > 0).all())
    assert error_with(scale, weight, inputs, bits) <= error_with(torch.ones(features), weight, inputs, bits)


def test_awq_in_groups_and_without_any_input() -> None:
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    assert awq_scale(weight, with_outliers(20, 8, 0), bits=4, group=4).shape == (8,)
    assert torch.equal(awq_scale(weight, torch.zeros(3, 8), bits=4), torch.ones(8))


def rounding_bound(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """|float32 result - exact| of x W^T, when each of the K products carries at most 3 roundings and the sum K more.

    Both sides of a comparison may err by it, so it is doubled: 2 (K + 3) 2^-24 sum_k |x_k w_k|.
    """
    return 2 * (x.shape[1] + 3) * 2.0**-24 * (x.abs() @ weight.abs().T)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.floats(0, 1), st.integers(1, 40), st.integers(0, 1000))
def test_smoothquant_leaves_the_output(strength: float, features: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(5, features, generator=generator), torch.randn(6, features, generator=generator)
    x[:, 0] = 0
    scaled, scale = smoothquant(weight, x, strength)
    assert bool(((x / scale) @ scaled.T - x @ weight.T).abs().le(rounding_bound(x, weight)).all())


def test_smoothquant_makes_outliers_smaller_and_int8_better() -> None:
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(1))
    x = with_outliers(100, 32, 1)
    scaled, scale = smoothquant(weight, x)
    smooth = x / scale
    assert float(smooth.abs().max() / smooth.abs().mean()) < 0.5 * float(x.abs().max() / x.abs().mean())
    want = x @ weight.T

    def int8_error(inputs: torch.Tensor, matrix: torch.Tensor) -> float:
        step = inputs.abs().max() / 127
        product = (inputs / step).round() * step @ fake_quantize_weight(matrix, 8, PerChannel()).T
        return float((product - want).square().mean())

    assert int8_error(smooth, scaled) < 0.5 * int8_error(x, weight)


def test_the_two_ends_of_strength() -> None:
    weight, x = torch.tensor([[0.5, 4.0]]), torch.tensor([[8.0, 2.0], [-16.0, 1.0]])
    even_weights, _ = smoothquant(weight, x, strength=0.0)
    assert torch.allclose(even_weights.abs().amax(0), torch.ones(2))
    _, scale = smoothquant(weight, x, strength=1.0)
    assert torch.equal((x / scale).abs().amax(0), torch.ones(2))


@pytest.mark.parametrize("between", [lambda h: h, F.relu])
@pytest.mark.parametrize("bias", [True, False])
def test_a_pair_of_layers_computes_what_it_did(between, bias: bool) -> None:
    torch.manual_seed(2)
    first, second = nn.Linear(6, 10, bias=bias), nn.Linear(10, 3)
    kept = first.weight.detach().clone(), second.weight.detach().clone()
    x = with_outliers(20, 6, 3)
    with torch.no_grad():
        hidden = between(first(x))
        smooth_first, smooth_second = smooth_pair(first, second, hidden)
        new = smooth_second(between(smooth_first(x)))
        assert torch.allclose(new, second(hidden), rtol=1e-4, atol=1e-4 * float(hidden.abs().max()))
    assert torch.equal(kept[0], first.weight)
    assert torch.equal(kept[1], second.weight)
    assert not torch.equal(smooth_first.weight, first.weight)


def test_bad_input() -> None:
    weight, x = torch.ones(2, 4), torch.ones(3, 4)
    with pytest.raises(ValueError, match=r"smoothquant wants a strength from 0 to 1, got 1.5"):
        smoothquant(weight, x, 1.5)
    with pytest.raises(ValueError, match="awq_scale wants inputs with the weight's 4 features, got 5"):
        awq_scale(weight, torch.ones(3, 5), 4)
    with pytest.raises(ValueError, match="finite inputs"):
        smoothquant(weight, x * float("nan"))
    with pytest.raises(ValueError, match="bits from 2 to 8"):
        awq_scale(weight, x, 1)
    with pytest.raises(ValueError, match="layers that follow each other, got 5 outputs before 4 inputs"):
        smooth_pair(nn.Linear(2, 5), nn.Linear(4, 1), x)
