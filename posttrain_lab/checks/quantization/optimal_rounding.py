"""Cases and laws of `optimal_rounding`: round a layer's weights so that its output, not the weights, changes least.

Conventions that the notebook states in the same words: the result are dequantized weights, float32, on the symmetric grid of
channel_qparams(weight, bits); H = inputs.T @ inputs gets damping on its diagonal (0.01 of its mean works), so that fewer tokens than
features, or a feature that is always 0, cause no problem.

The grid point of a weight is not unique (order of columns, amount of damping and even the method are free), so the laws judge the result:
weights on the grid, and on held-out inputs an output error that is a small part of the error of rounding to nearest. The limits come from
100 random layers (24 inputs of 3 latent factors, 48 outputs; drawn again until the oracle has at most 15 %), the worse of 3 and 4 bits:

    right: the oracle 5-15 %, damping 0.001 to 0.1 5-18 %, columns by size 3-7 %, coordinate descent 5-13 %
    wrong: one inverse for all columns 31-59 %, error not divided 58-83 %, next column only 62-147 %, to nearest 100 %

Limit 25 %. With 16 tokens for 24 features right answers reach 29 %: limit 40 %. A layer of 144 features (60 of them, 3 bits): right ones
4-8 %, damping 1.0 10-17 %, coordinate descent 4-5 %; one inverse for all columns 26-44 %. From one layer to the next they rise and fall
together: damping 0.001 to 0.1 leaves 0.85 to 1.3 times what the oracle leaves, damping 1.0 1.7 to 2.9 times: limit 1.5 times.

The few tokens are multiplied by 2^10 and their weights by 2^16, the inputs of the large layer by 2^-14 and its weights by 2^-10: nothing
changes for damping in proportion to the diagonal of H, while a fixed amount of it is far too small or far too large. (Powers of two change
no digit.)
"""

from functools import lru_cache

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.judges import close, difference
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.quantization.optimal_rounding_mistakes import ROUNDING_MISTAKES
from posttrain_lab.checks.quantization.optimal_rounding_oracle import right_rounding, row_scales, to_nearest, top

Layer = tuple[Tensor, Tensor, Tensor]  # weight, calibration inputs, held-out inputs


FEATURES, OUTPUTS, CAUSES, TOKENS, FEW = 24, 48, 3, 192, 16
LARGE, CAUSES_OF_LARGE, TOKENS_OF_LARGE = 144, 12, 500


LIMIT, LIMIT_FEW, TIMES_LARGE = 0.25, 0.40, 1.5


def _clear_weight(draw: Draw, out: int, features: int, bits: int) -> Tensor:
    """Weights 0.1 steps or more away from ties, the largest of each row on the outermost code."""
    end = top(bits)
    code = draw.codes(-end, end - 1, out, features) + draw.uniform(0.02, 0.4, out, features)
    code[:, draw.whole(0, features - 1)] = -float(end)
    return (code * draw.uniform(0.01, 2.0, out, 1)).float()


def _mixed(draw: Draw, tokens: int, features: int) -> Tensor:
    """Inputs with few latent factors."""
    return draw.normal(tokens, CAUSES) @ draw.normal(CAUSES, features) + 0.2 * draw.normal(tokens, features)


def rounding_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "optimal_rounding")
    bits, side = draw.whole(2, 8), draw.whole(4, 7)
    weight = _clear_weight(draw, 5, side, 4)
    weight[draw.whole(0, 4)] = 0
    alone = torch.diag(draw.uniform(0.5, 4.0, side))
    on_grid = to_nearest(draw.normal(6, 9), torch.zeros(0), 3)
    return [
        Case("one nonzero input per token: rounding to nearest is best", (weight, alone, 4)),
        Case(f"{bits} bits, one nonzero, tiny input per token", (_clear_weight(draw, 3, side, bits), alone * 1e-8, bits)),
        Case("weights that are already on the grid", (on_grid, _mixed(draw, 40, 9), 3)),
        Case("a single feature, views that are not contiguous", (strided(_clear_weight(draw, 7, 1, 3)), draw.normal(1, 5).T, 3)),
    ]


@lru_cache(maxsize=64)
def _layer(seed: int, tokens: int, dead: bool) -> Layer:
    """A layer where the error can be reduced a lot; with `dead`, one feature is always 0."""
    draw = Draw(seed, f"layer {tokens}")
    while True:
        weight, mix = draw.normal(OUTPUTS, FEATURES), draw.normal(CAUSES, FEATURES)
        inputs = draw.normal(tokens + 400, CAUSES) @ mix + 0.2 * draw.normal(tokens + 400, FEATURES)
        inputs[:, draw.whole(0, FEATURES - 1)] *= float(not dead)
        layer = weight, inputs[:tokens], inputs[tokens:]
        if max(_left(layer, right_rounding(weight, inputs[:tokens], bits), bits) for bits in (3, 4)) < 0.15:
            return layer


@lru_cache(maxsize=16)
def _large_layer(seed: int) -> Layer:
    """A layer as large as those of the notebook's network (a convolution of 16 channels, 3 x 3), with small inputs."""
    draw = Draw(seed, "large layer")
    weight, mix = draw.normal(32, LARGE) * 2.0**-10, draw.normal(CAUSES_OF_LARGE, LARGE)
    count = TOKENS_OF_LARGE + 300
    inputs = (draw.normal(count, CAUSES_OF_LARGE) @ mix + 0.3 * draw.normal(count, LARGE)) * 2.0**-14
    return weight, inputs[:TOKENS_OF_LARGE], inputs[TOKENS_OF_LARGE:]


@lru_cache(maxsize=16)
def _limit_of_large(seed: int) -> float:
    """A multiple of what the oracle leaves on this very layer."""
    layer = _large_layer(seed)
    return TIMES_LARGE * _left(layer, right_rounding(layer[0], layer[1], 3), 3)


def _left(layer: Layer, rounded: Tensor, bits: int) -> float:
    """The output error on held-out inputs, divided by that of rounding to nearest."""
    weight, _, held_out = layer
    errors = [((weight - w) @ held_out.T).square().sum().item() for w in (rounded, to_nearest(weight, weight, bits))]
    return errors[0] / errors[1]


def _complaint(layer: Layer, rounded: Tensor, bits: int, limit: float) -> str | None:
    weight = layer[0]
    if problem := difference(torch.full(weight.shape, 0.0), rounded, 0.0, float("inf"), strict_dtype=True):
        return problem
    steps = rounded.double() / row_scales(weight, bits)
    if not ((steps - steps.round()).abs() < 1e-3).all() or (steps.abs() > top(bits) + 1e-3).any():
        return f"the result must be on the grid of channel_qparams(weight, {bits}): whole multiples of each row's scale."
    left = _left(layer, rounded.float(), bits)
    if left < limit:
        return None
    return (
        f"at {bits} bits the output error on held-out inputs is {left:.1%} of that of rounding to nearest; "
        f"a right answer stays below {limit:.1%}."
    )


def _held_out(call: Call, seed: int) -> str | None:
    layer = _layer(seed, TOKENS, False)
    for bits in (3, 4):
        if found := _complaint(layer, call(layer[0], layer[1], bits), bits, LIMIT):
            return found
    return None


def _few_tokens(call: Call, seed: int) -> str | None:
    weight, inputs, held_out = _layer(seed, FEW, True)
    large = weight * 2.0**16, inputs * 2.0**10, held_out
    return _complaint(large, call(large[0], large[1], 4), 4, LIMIT_FEW)


def _many_features(call: Call, seed: int) -> str | None:
    layer = _large_layer(seed)
    return _complaint(layer, call(layer[0], layer[1], 3), 3, _limit_of_large(seed))


ROUNDING_LAWS = (
    Law("held-out inputs", _held_out),
    Law("fewer tokens than features, a feature that is always 0, large numbers", _few_tokens),
    Law("144 features, small inputs", _many_features),
)


# 1e-3: float32 all the way (24 bits) loses more than float64, still far from the next point of the grid
optimal_rounding = Exercise(
    name="optimal_rounding",
    unit="02_quantization",
    points=4,
    difficulty=5,
    minutes=25,
    oracle=right_rounding,
    cases=rounding_cases,
    mistakes=ROUNDING_MISTAKES,
    judge=close(0.001, 1e-06, strict_dtype=True),
    laws=ROUNDING_LAWS,
    legal={"not contiguous": "how q lies in memory is free, and so it is for all results of this unit"},
    library="quantization:optimal_rounding",
)
