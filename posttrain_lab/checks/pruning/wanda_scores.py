"""Cases and known mistakes of `wanda_scores`: a score from each weight and its inputs.

Conventions that the notebook states in the same words: a Wanda score is |w| times the l2 norm of the weight's input, a column of
`inputs`: the root of the sum of squares over all tokens, not divided by their number.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import by_precision, near
from posttrain_lab.checks.engine.random_cases import Draw, eighths, strided


def right_wanda(weight: Tensor, inputs: Tensor) -> Tensor:
    sizes = [math.sqrt(math.fsum(x * x for x in column)) for column in inputs.T.tolist()]
    return (weight.double().abs() * torch.tensor(sizes, dtype=torch.float64)).to(weight.dtype)


def wanda_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "wanda_scores")
    out, side, tokens = draw.whole(3, 5), draw.whole(6, 8), draw.whole(10, 14)
    dead = draw.normal(tokens, side)
    dead[:, draw.whole(0, side - 1)] = 0
    return [
        Case("as many tokens as inputs as outputs", (draw.normal(side, side), draw.normal(side, side) + 0.5)),
        Case("more tokens than inputs", (draw.normal(out, side), draw.normal(tokens, side))),
        Case("inputs far from 0", (draw.normal(out, side), draw.normal(tokens, side) - 20.0)),
        Case("a feature that is always 0", (draw.normal(out, side), dead)),
        Case("a single token", (draw.normal(out, side), draw.normal(1, side))),
        Case("large and small features", (draw.normal(out, side), draw.normal(tokens, side) * 10 ** draw.uniform(-3, 3, side))),
        Case("views that are not contiguous", (strided(draw.normal(out, side)), draw.normal(side, tokens).T)),
    ]


def wanda_workload(seed: int) -> list[Case]:
    """Inputs as behind a ReLU, many tokens, whose squares add up exactly; the last tokens are the largest."""
    draw = Draw(seed, "wanda workload")
    tokens = eighths(draw, 1200, 40).relu()
    tokens[-7:] *= 8
    few = draw.normal(9, 6)
    return [
        Case("the activations of many images", (draw.normal(24, 40), tokens)),
        Case("tokens that come twice", (draw.normal(5, 6), torch.cat([few, few[3:], few[:2]]))),
        Case("large float64 inputs", (draw.normal(4, 6).double(), draw.normal(12, 6).double() * 1e25)),
    ]


def _wanda(
    size: Callable[[Tensor], Tensor], magnitude: Callable[[Tensor], Tensor] = torch.abs
) -> Callable[[Tensor, Tensor], Any]:
    """magnitude(w) times another size of the inputs."""
    return lambda weight, inputs: magnitude(weight) * size(inputs)


def _norm(inputs: Tensor) -> Tensor:
    return inputs.norm(dim=0)


WANDA_MISTAKES = (
    Mistake(
        "mean of the inputs",
        "You use the mean of each input, where plus and minus cancel; Wanda takes the l2 norm.",
        _wanda(lambda x: x.mean(0)),
    ),
    Mistake(
        "mean magnitude",
        "You use the mean magnitude of each input; Wanda takes the l2 norm, the root of the sum of squares.",
        _wanda(lambda x: x.abs().mean(0)),
    ),
    Mistake(
        "sum of magnitudes",
        "You use the l1 norm, a sum of magnitudes; Wanda takes the l2 norm, the root of the sum of squares.",
        _wanda(lambda x: x.abs().sum(0)),
    ),
    Mistake("weight only", "Your score does not use the inputs; multiply by their norm.", lambda weight, inputs: weight.abs()),
    Mistake(
        "inputs only",
        "Your score does not use the weight; multiply the norm by |w|.",
        lambda weight, inputs: _norm(inputs).expand(weight.shape).clone(),
    ),
    Mistake(
        "root forgotten",
        "You sum the squares of the inputs and take no root; take the square root of the sum.",
        _wanda(lambda x: x.square().sum(0)),
    ),
    Mistake(
        "squared",
        "You square the whole score; it keeps the order, but the score is |w| times the norm.",
        lambda weight, inputs: (weight * _norm(inputs)).square(),
    ),
    Mistake("signed", "Your scores have the weights' signs; use the magnitude |w|.", _wanda(_norm, lambda w: w)),
    Mistake(
        "norm of each token",
        "You take the norm of each token (dim=1); each input feature has one, over all tokens (dim=0).",
        _wanda(lambda x: x.norm(dim=1)),
    ),
    Mistake(
        "divided by the tokens",
        "You divide by the number of tokens (a root mean square); the l2 norm is not divided.",
        _wanda(lambda x: x.square().mean(0).sqrt()),
    ),
    Mistake(
        "largest input",
        "You take the largest magnitude of each input; Wanda takes the l2 norm.",
        _wanda(lambda x: x.abs().amax(0)),
    ),
    Mistake(
        "one norm for all",
        "You take one norm of the whole input matrix; take one for each feature.",
        _wanda(lambda x: x.norm()),
    ),
    Mistake(
        "deviation",
        "You take the standard deviation, which subtracts the mean; use the l2 norm, which does not.",
        _wanda(lambda x: (x - x.mean(0)).square().sum(0).sqrt()),
    ),
)


# 1e-5: a sum of squares and a root in float32
wanda_scores = Exercise(
    name="wanda_scores",
    unit="01_pruning",
    points=1,
    difficulty=1,
    minutes=6,
    oracle=right_wanda,
    cases=wanda_cases,
    mistakes=WANDA_MISTAKES,
    judge=by_precision(near(1e-07, 1e-05, strict_dtype=True), near(1e-14, 1e-12, strict_dtype=True)),
    workload=wanda_workload,
    legal={"not contiguous": "So may the results of this unit."},
    library="pruning:wanda_scores pruning:layer_scores",
)
