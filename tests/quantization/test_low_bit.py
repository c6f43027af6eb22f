"""Optimal rounding against the textbook update with an explicit inverse, and against rounding to nearest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from posttrain_lab.quantization.affine import channel_qparams, fake_quantize_weight
from posttrain_lab.quantization.granularity import PerChannel, PerGroup
from posttrain_lab.quantization.layer_math import apply_weight, layer_gram
from posttrain_lab.quantization.low_bit import DAMPING, optimal_rounding

pytestmark = pytest.mark.slow


def correlated(tokens: int, features: int, seed: int) -> torch.Tensor:
    """Inputs that share a few causes, as real activations do; the causes do not depend on the number of tokens."""
    generator = torch.Generator().manual_seed(seed)
    causes = torch.randn(4, features, generator=generator)
    noise = 0.3 * torch.randn(tokens, features, generator=generator)
    return torch.randn(tokens, 4, generator=generator) @ causes + noise


def output_error(weight: torch.Tensor, rounded: torch.Tensor, inputs: torch.Tensor) -> float:
    return float((inputs @ (weight - rounded).T).square().mean())


def by_explicit_inverses(weight: np.ndarray, inputs: np.ndarray, scale: np.ndarray, top: int) -> np.ndarray:
    """Optimal brain quantization in numpy: invert the Hessian of the columns that are left, again for each column."""
    hessian = inputs.T @ inputs
    hessian += DAMPING * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    left = weight.copy()
    for j in range(weight.shape[1]):
        inverse = np.linalg.inv(hessian[j:, j:])
        rounded = np.clip(np.round(left[:, j] / scale), -top, top) * scale
        left[:, j:] -= np.outer((left[:, j] - rounded) / inverse[0, 0], inverse[0])
        left[:, j] = rounded
    return left


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_equals_the_update_with_explicit_inverses(bits: int) -> None:
    weight, inputs = torch.randn(5, 9, generator=torch.Generator().manual_seed(bits)), correlated(40, 9, bits)
    scale = channel_qparams(weight, bits).double().numpy()
    want = by_explicit_inverses(weight.double().numpy(), inputs.double().numpy(), scale, 2 ** (bits - 1) - 1)
    assert np.allclose(optimal_rounding(weight, inputs, bits).numpy(), want, rtol=1e-6, atol=1e-7)


def test_independent_inputs_leave_rounding_to_nearest() -> None:
    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(optimal_rounding(weight, torch.eye(8), 3), fake_quantize_weight(weight, 3, PerChannel()))


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("group", [None, 8])
def test_beats_rounding_to_nearest_on_inputs_it_has_not_seen(bits: int, seed: int, group: int | None) -> None:
    inputs = correlated(600, 32, seed)
    seen, held_out = inputs[:300], inputs[300:]
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(seed + 100))
    nearest = fake_quantize_weight(weight, bits, PerChannel() if group is None else PerGroup(group))
    optimal = optimal_rounding(weight, seen, bits, group)
    assert output_error(weight, optimal, held_out) < 0.7 * output_error(weight, nearest, held_out)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(2, 8), st.integers(1, 6), st.integers(1, 12), st.integers(1, 20), st.integers(0, 1000))
def test_stays_on_the_grid_and_changes_nothing(bits: int, out: int, features: int, tokens: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, inputs = torch.randn(out, features, generator=generator), torch.randn(tokens, features, generator=generator)
    kept = weight.clone(), inputs.clone()
    rounded = optimal_rounding(weight, inputs, bits)
    steps = rounded / channel_qparams(weight, bits)[:, None]
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert float(steps.abs().max()) <= 2 ** (bits - 1) - 1 + 1e-4
    assert torch.equal(kept[0], weight)
    assert torch.equal(kept[1], inputs)
    assert torch.equal(rounded, optimal_rounding(weight, inputs, bits))


def test_groups_have_grids_of_their_own() -> None:
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    steps = optimal_rounding(weight, correlated(50, 8, 1), 4, group=4).reshape(3, 2, 4)
    steps = steps / channel_qparams(weight, 4, group=4)[:, :, None]
    assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_inputs_that_are_always_zero_are_rounded_to_nearest_and_disturb_no_other() -> None:
    weight, inputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(2)), correlated(30, 6, 2)
    inputs[:, 2], weight[:, 2] = 0, 0.3 * weight[:, 1]
    rounded = optimal_rounding(weight, inputs, 3)
    assert torch.equal(rounded[:, 2], fake_quantize_weight(weight, 3, PerChannel())[:, 2])
    others = [0, 1, 3, 4, 5]
    weight[:, 2] = 0.5 * weight[:, 0]  # another weight there, the same scales
    assert torch.equal(rounded[:, others], optimal_rounding(weight, inputs, 3)[:, others])


def test_no_inputs_but_zeros_is_rounding_to_nearest() -> None:
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    assert torch.equal(optimal_rounding(weight, torch.zeros(5, 6), 4), fake_quantize_weight(weight, 4, PerChannel()))


def test_fewer_tokens_than_features_and_a_repeated_feature() -> None:
    weight, inputs = torch.randn(4, 20, generator=torch.Generator().manual_seed(4)), correlated(3, 20, 4)
    inputs[:, 1] = inputs[:, 0]
    rounded = optimal_rounding(weight, inputs, 3)
    nearest = fake_quantize_weight(weight, 3, PerChannel())
    assert output_error(weight, rounded, inputs) < output_error(weight, nearest, inputs)


def test_a_view_and_float64_and_a_constant_weight() -> None:
    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(5))
    inputs = correlated(20, 6, 5)
    view = optimal_rounding(weight.T, inputs, 4)
    assert torch.equal(view, optimal_rounding(weight.T.contiguous(), inputs, 4))
    assert torch.allclose(optimal_rounding(weight.T.double(), inputs.double(), 4), view)
    assert torch.equal(optimal_rounding(torch.zeros(2, 6), inputs, 4), torch.zeros(2, 6))


LAYERS = [
    (nn.Linear(6, 4), (10, 6)),
    (nn.Linear(6, 4), (5, 3, 6)),
    (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2)), (4, 2, 9, 7)),
    (nn.Conv2d(4, 6, 3, groups=2, dilation=2), (3, 4, 8, 8)),
    (nn.Conv2d(2, 3, 4, padding="same"), (3, 2, 6, 5)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_the_gram_matrix_knows_the_output_error_of_every_change(layer: nn.Linear, shape: tuple[int, ...]) -> None:
    """|layer(x; W + D) - layer(x; W)|^2 by torch's own layer = the sum over channels of d G d^T."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(6))
    change = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        moved = apply_weight(layer, x, layer.weight + change) - layer(x)
    grams = layer_gram(layer, x)
    rows = zip(change.flatten(1).double().chunk(len(grams)), grams, strict=True)
    energy = sum(torch.einsum("oi,ij,oj->", d, gram, d) for d, gram in rows)
    assert torch.allclose(energy, moved.double().square().sum(), rtol=1e-4)


GOOD_WEIGHT, GOOD_INPUTS = torch.ones(2, 4), torch.ones(3, 4)
BAD = [
    (torch.ones(2, 4, dtype=torch.int8), GOOD_INPUTS, 4, None, TypeError, "wants a float tensor as weight"),
    (GOOD_WEIGHT, [1.0], 4, None, TypeError, "wants a float tensor as inputs, got list"),
    (torch.ones(2, 4, 1), GOOD_INPUTS, 4, None, ValueError, r"wants weight \[out, in\]"),
    (GOOD_WEIGHT, torch.ones(3), 4, None, ValueError, r"wants inputs \[tokens, in\]"),
    (GOOD_WEIGHT, torch.ones(0, 4), 4, None, ValueError, "not empty"),
    (GOOD_WEIGHT, torch.ones(3, 5), 4, None, ValueError, "weight's 4 features, got 5"),
    (GOOD_WEIGHT, torch.full((3, 4), float("nan")), 4, None, ValueError, "finite inputs"),
    (torch.full((2, 4), float("inf")), GOOD_INPUTS, 4, None, ValueError, "finite weight"),
    (GOOD_WEIGHT, GOOD_INPUTS, 1, None, ValueError, "optimal_rounding wants bits from 2 to 8, got 1"),
    (GOOD_WEIGHT, GOOD_INPUTS, 9, None, ValueError, "bits from 2 to 8, got 9"),
    (GOOD_WEIGHT, GOOD_INPUTS, 4, 3, ValueError, "group that divides"),
]


@pytest.mark.parametrize(("weight", "inputs", "bits", "group", "error", "message"), BAD)
def test_bad_input(weight, inputs, bits, group, error, message) -> None:
    with pytest.raises(error, match=message):
        optimal_rounding(weight, inputs, bits, group)
