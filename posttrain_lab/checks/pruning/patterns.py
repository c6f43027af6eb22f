"""Cases, laws and known mistakes of `nm_mask` and `wanda_scores`: n of each m neighbours, and weights judged with their inputs.

Conventions that the notebook states in the same words: groups are m neighbours along `in` (columns 0 to m - 1, then m to 2m - 1, ...),
m divides `in`, exactly n of each group are kept, among equal magnitudes any. A Wanda score is |w| times the l2 norm of the column of
inputs that the weight meets: the root of the sum of squares over all tokens, not divided by their number.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.draw import Draw, strided
from posttrain_lab.checks.exercise import Call, Case, Law, Mistake
from posttrain_lab.checks.pruning.numbers import levels, lowest, spread

Mask = Callable[[Tensor, int, int], Tensor]
PATTERNS = ((2, 4), (1, 4), (3, 4), (1, 2), (4, 8), (2, 5))


def _best(groups: Tensor, n: int) -> Tensor:
    """True for the n largest of the last axis."""
    order = groups.argsort(dim=-1, descending=True, stable=True)
    return torch.zeros(groups.shape, dtype=torch.bool).scatter(-1, order[..., :n], True)


def right_nm(weight: Tensor, n: int, m: int) -> Tensor:
    return _best(weight.abs().reshape(len(weight), -1, m), n).reshape(weight.shape)


def nm_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "nm_mask")
    n, m = draw.pick(PATTERNS)
    out, groups = draw.whole(3, 5), draw.whole(2, 4)
    return [
        Case("out is a multiple of m too", (spread(draw, 8, 12), 1, 4)),
        Case("two of four", (spread(draw, out, 4 * groups), 2, 4)),
        Case("out is no multiple of m", (spread(draw, 2 * out + 1, 4 * groups), 3, 4)),
        Case("another pattern", (spread(draw, out, m * groups), n, m)),
        Case("one group in each row", (spread(draw, out, 6), draw.whole(1, 5), 6)),
        Case("everything is kept", (spread(draw, out, 8), 4, 4)),
        Case("all negative", (-spread(draw, out, 8).abs(), 1, 4)),
        Case("one row", (spread(draw, 1, 4 * groups), 2, 4)),
        Case("a transposed view", (spread(draw, 4 * groups, out).T, 2, 4)),
        Case("a view that is not contiguous", (strided(spread(draw, out, 8)), 1, 2)),
    ]


def _ties(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "nm ties")
    for n, m in ((2, 4), (1, 2), (3, 8)):
        weight = levels(draw, draw.whole(4, 6), 3 * m, most=1)
        mask = call(weight, n, m)
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != weight.shape:
            return f"expected a bool tensor of shape {tuple(weight.shape)}."
        groups, kept = weight.abs().unflatten(1, (-1, m)), mask.unflatten(1, (-1, m))
        if (kept.sum(2) != n).any():
            return f"with equal weights in a group of {m} some group keeps {int(kept.sum(2)[kept.sum(2) != n][0])}, not {n}."
        if (groups.masked_fill(~kept, torch.inf).amin(2) < groups.masked_fill(kept, -torch.inf).amax(2)).any():
            return "a weight is kept that is smaller than one of its group that goes."
    return None


NM_LAWS = (Law("equal magnitudes", _ties),)


def _limit(strict: bool) -> Mask:
    def nm_mask(weight: Tensor, n: int, m: int) -> Tensor:
        groups = weight.abs().unflatten(1, (-1, m))
        order = groups.sort(dim=2, descending=True).values
        if strict:
            limit = order[..., n : n + 1] if n < m else torch.full_like(order[..., :1], -1)
            return (groups > limit).flatten(1)
        return (groups >= order[..., n - 1 : n]).flatten(1)

    return nm_mask


def _along_out(weight: Tensor, n: int, m: int) -> Tensor:
    return right_nm(weight.T.contiguous(), n, m).T.contiguous()


def _interleaved(weight: Tensor, n: int, m: int) -> Tensor:
    """Groups of every (in / m)-th column."""
    return _best(weight.abs().reshape(len(weight), m, -1).transpose(1, 2), n).transpose(1, 2).reshape(weight.shape)


NM_MISTAKES = (
    Mistake(
        "groups along out",
        "Your groups run along the outputs (down a column); they are m neighbours along the inputs of one row.",
        _along_out,
    ),
    Mistake(
        "m - n kept",
        "You keep m - n of each group; n are kept and m - n go.",
        lambda weight, n, m: right_nm(weight, m - n, m),
    ),
    Mistake(
        "smallest kept",
        "You keep the n smallest of each group; keep the largest magnitudes.",
        lambda weight, n, m: _best(-weight.abs().unflatten(1, (-1, m)), n).flatten(1),
    ),
    Mistake(
        "mask inverted",
        "Your mask is True where a weight goes; True must mean kept.",
        lambda weight, n, m: ~right_nm(weight, n, m),
    ),
    Mistake(
        "signed",
        "You compare weights with their sign; compare magnitudes, abs().",
        lambda weight, n, m: _best(weight.unflatten(1, (-1, m)), n).flatten(1),
    ),
    Mistake(
        "whole rows",
        "You keep n / m of each row wherever they are; each group of m must keep exactly n.",
        lambda weight, n, m: _best(weight.abs(), n * weight.shape[1] // m),
    ),
    Mistake(
        "whole tensor",
        "You keep n / m of the whole tensor; each group of m must keep exactly n.",
        lambda weight, n, m: lowest(weight.abs(), weight.numel() - n * weight.numel() // m),
    ),
    Mistake(
        "every so many columns",
        "Your groups are columns that lie apart; a group is m neighbours: reshape to [out, in / m, m].",
        _interleaved,
    ),
    Mistake(
        "strict threshold",
        "With equal weights in a group you keep fewer than n; pick exactly n by position (topk, scatter).",
        _limit(strict=True),
    ),
    Mistake(
        "inclusive threshold",
        "With equal weights in a group you keep more than n; pick exactly n by position (topk, scatter).",
        _limit(strict=False),
    ),
    Mistake(
        "places as ranks",
        "argsort gives the places in order of size, not the rank of each weight; take its last n places, or those of topk.",
        lambda weight, n, m: (weight.abs().unflatten(1, (-1, m)).argsort(dim=2) >= m - n).flatten(1),
    ),
    Mistake(
        "by position",
        "You keep the first n of each group; keep the n largest.",
        lambda weight, n, m: (torch.arange(weight.shape[1]) % m < n).expand(weight.shape).clone(),
    ),
    Mistake(
        "grouped shape",
        "Your mask still has the shape of the groups; give it that of the weight (flatten or reshape at the end).",
        lambda weight, n, m: _best(weight.abs().unflatten(1, (-1, m)), n),
    ),
    Mistake(
        "numbers, not bool",
        "Your mask holds numbers; it must be a bool tensor.",
        lambda weight, n, m: right_nm(weight, n, m).float(),
    ),
)


def right_wanda(weight: Tensor, inputs: Tensor) -> Tensor:
    sizes = [sum(float(x) ** 2 for x in column) ** 0.5 for column in inputs.T]
    return (weight.double().abs() * torch.tensor(sizes, dtype=torch.float64)).float()


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
    Mistake("weight only", "The inputs play no part in your score; multiply by their norm.", lambda weight, inputs: weight.abs()),
    Mistake(
        "inputs only",
        "The weight plays no part in your score; multiply the norm by |w|.",
        lambda weight, inputs: _norm(inputs).expand(weight.shape).clone(),
    ),
    Mistake("root forgotten", "You sum the squares of the inputs and take no root.", _wanda(lambda x: x.square().sum(0))),
    Mistake(
        "squared",
        "You square the whole score; it keeps the order, but the score is |w| times the norm.",
        lambda weight, inputs: (weight * _norm(inputs)).square(),
    ),
    Mistake("signed", "Your scores have the weights' signs; the magnitude |w| counts.", _wanda(_norm, lambda w: w)),
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
        "You take one norm of the whole matrix of inputs; each feature has its own.",
        _wanda(lambda x: x.norm()),
    ),
    Mistake(
        "deviation",
        "You take the standard deviation, which subtracts the mean; the l2 norm does not.",
        _wanda(lambda x: (x - x.mean(0)).square().sum(0).sqrt()),
    ),
)
