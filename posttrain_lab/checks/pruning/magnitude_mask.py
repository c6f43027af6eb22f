"""Cases, laws and known mistakes of `magnitude_mask`: the smallest weights are removed.

Conventions that the notebook states in the same words: True means kept; exactly round(sparsity * number of weights) are False, as
Python rounds (a half to the even number); among equal magnitudes any may be removed. Cases without ties have one answer; with ties the
law requires the count, and that no kept weight is smaller than a removed one.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided
from posttrain_lab.checks.pruning.separated_weights import (
    LARGE,
    NETWORK,
    clear_sparsity,
    levels,
    lowest,
    neighbours,
    right_count,
    spread,
    tiny,
)

Mask = Callable[[Tensor, float], Tensor]


def right_magnitude(weight: Tensor, sparsity: float) -> Tensor:
    return lowest(weight.abs(), right_count(sparsity, weight.numel()))


def magnitude_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "magnitude_mask")
    a, b, c = draw.whole(5, 8), draw.whole(4, 7), draw.whole(2, 4)
    up, down = (clear_sparsity(draw, [a * b], up=way) for way in (True, False))
    conv, lone = spread(draw, a, c, 3, 3), spread(draw, 1)
    return [
        Case("a count that is rounded up", (spread(draw, a, b), up)),
        Case("a count that is rounded down", (spread(draw, a, b), down)),
        Case("a count of something and a half", (spread(draw, 4 * b + 1), 0.5)),
        Case("a kernel of a convolution", (conv, clear_sparsity(draw, [conv.numel()], 0.5, 0.9))),
        Case("all negative", (-spread(draw, b, a).abs(), clear_sparsity(draw, [a * b]))),
        Case("nothing to remove", (spread(draw, a, b), 0.0)),
        Case("everything to remove", (spread(draw, b, c), 1.0)),
        Case("a view that is not contiguous", (strided(spread(draw, b, a)), clear_sparsity(draw, [a * b]))),
        Case("a transposed view", (spread(draw, a, b).T, clear_sparsity(draw, [a * b]))),
        Case("one huge weight among tiny ones", (_outlier(draw, a, b), clear_sparsity(draw, [a * b]))),
        Case("a single weight that is kept", (lone, 0.3)),
        Case("a single weight that is removed", (lone, 0.7)),
        Case("one axis, float64", (spread(draw, 3 * a).double(), clear_sparsity(draw, [3 * a]))),
    ]


def magnitude_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "magnitude workload")
    linear, kernel = ladder(draw, *LARGE, top=0.1), ladder(draw, *NETWORK["4"], top=0.5)
    return [
        Case("the large layer of the network", (linear, clear_sparsity(draw, [linear.numel()], 0.6, 0.95))),
        Case(
            "a convolution of the network, channels last",
            (kernel.to(memory_format=torch.channels_last), clear_sparsity(draw, [kernel.numel()])),
        ),
        Case("weights around 1e-28", (tiny(draw, 12, 9), clear_sparsity(draw, [108]))),
        Case("float64 weights that are equal in float32", (neighbours(draw, 11, 10), clear_sparsity(draw, [110]))),
    ]


def _outlier(draw: Draw, rows: int, columns: int) -> Tensor:
    weight = spread(draw, rows, columns) * 1e-6
    weight[draw.whole(0, rows - 1), draw.whole(0, columns - 1)] = -50.0
    return weight


def mask_complaint(weight: Tensor, mask: object, gone: int) -> str | None:
    """What is wrong with a mask where ties leave a choice."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != weight.shape:
        return f"expected a bool tensor of shape {tuple(weight.shape)}."
    found = int((~mask).sum())
    if found != gone:
        return (
            f"of {weight.numel()} weights with equal ones among them exactly {gone} must be removed, your mask removes {found}."
        )
    if 0 < gone < weight.numel() and weight.abs()[mask].min() < weight.abs()[~mask].max():
        return "a weight is kept that is smaller than a removed one."
    return None


def _ties(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "ties")
    a, b = draw.whole(6, 9), draw.whole(4, 6)
    for weight in (levels(draw, a, b), torch.full((b, a), -0.25), _many_zeros(draw, a, b)):
        sparsity = clear_sparsity(draw, [a * b], 0.25, 0.7)
        if found := mask_complaint(weight, call(weight, sparsity), right_count(sparsity, a * b)):
            return found
    return None


def _many_zeros(draw: Draw, rows: int, columns: int) -> Tensor:
    """More zeros than any of the counts."""
    weight = torch.zeros(rows, columns)
    weight[0] = spread(draw, columns)
    return weight


MAGNITUDE_LAWS = (Law("equal magnitudes", _ties),)


def _by(change: Callable[[Tensor], Tensor]) -> Mask:
    """The right count, ranked by other numbers than magnitudes."""
    return lambda weight, sparsity: lowest(change(weight), right_count(sparsity, weight.numel()))


def _counted(count: Callable[[float, int], int]) -> Mask:
    """Magnitudes, by another count."""
    return lambda weight, sparsity: lowest(weight.abs(), count(sparsity, weight.numel()))


def _threshold(strict: bool) -> Mask:
    """Compare with the last removed weight (strict), or with the first kept one."""

    def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
        gone, order = right_count(sparsity, weight.numel()), weight.abs().flatten().sort().values
        if strict:
            return weight.abs() > (order[gone - 1] if gone else -1)
        return weight.abs() >= (order[gone] if gone < len(order) else float("inf"))

    return magnitude_mask


def _kth(weight: Tensor, sparsity: float) -> Tensor:
    return weight.abs() > weight.abs().flatten().kthvalue(right_count(sparsity, weight.numel())).values


def _past_the_end(weight: Tensor, sparsity: float) -> Tensor:
    return weight.abs() >= weight.abs().flatten().sort().values[right_count(sparsity, weight.numel())]


def _minus_one(weight: Tensor, sparsity: float) -> Tensor:
    return weight.abs() > weight.abs().flatten().sort().values[right_count(sparsity, weight.numel()) - 1]


def _topk(weight: Tensor, sparsity: float) -> Tensor:
    return weight.abs() >= weight.abs().flatten().topk(weight.numel() - right_count(sparsity, weight.numel())).values[-1]


def _quantile(strict: bool) -> Mask:
    def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
        limit = torch.quantile(weight.abs().flatten(), sparsity)
        return weight.abs() > limit if strict else weight.abs() >= limit

    return magnitude_mask


def _per_row(weight: Tensor, sparsity: float) -> Tensor:
    rows = weight.reshape(len(weight), -1) if weight.ndim > 1 else weight[None]
    return torch.stack([right_magnitude(row, sparsity) for row in rows]).reshape(weight.shape)


MAGNITUDE_MISTAKES = (
    Mistake(
        "signed",
        "You compare weights with their sign, so all negative ones are removed first; a large negative weight matters as much: use abs().",
        _by(lambda weight: weight),
    ),
    Mistake(
        "keeps the smallest",
        "You remove the largest weights and keep the smallest; it should be the other way round.",
        _by(lambda weight: -weight.abs()),
    ),
    Mistake(
        "mask inverted",
        "Your mask is True where a weight is removed; True must mean kept.",
        lambda weight, sparsity: ~right_magnitude(weight, sparsity),
    ),
    Mistake(
        "by position",
        "You remove the first weights in memory, independent of their size; remove those with the smallest magnitude.",
        lambda weight, sparsity: (torch.arange(weight.numel()) >= right_count(sparsity, weight.numel())).reshape(weight.shape),
    ),
    Mistake(
        "count cut off",
        "int() rounds the count down; remove round(sparsity * n) weights.",
        _counted(lambda sparsity, count: int(sparsity * count)),
    ),
    Mistake(
        "count rounded up",
        "You always round the count up; round(sparsity * n) goes to the nearest whole number.",
        _counted(lambda sparsity, count: -int(-sparsity * count // 1)),
    ),
    Mistake(
        "half rounded up",
        "You remove one weight too many where the count ends in .5; use Python's round, which rounds a half to the even number.",
        _counted(lambda sparsity, count: int(sparsity * count + 0.5)),
    ),
    Mistake(
        "indices as ranks",
        "argsort gives indices in order of size, not the rank of each weight; its first k entries are the indices to remove.",
        lambda weight, sparsity: (weight.abs().flatten().argsort() >= right_count(sparsity, weight.numel())).reshape(
            weight.shape
        ),
    ),
    Mistake(
        "sparsity as density",
        "You keep this share of the weights; sparsity is the share that is removed.",
        _counted(lambda sparsity, count: count - right_count(sparsity, count)),
    ),
    Mistake(
        "strict threshold",
        "All weights equal to your threshold are removed, too many when some are equal; select exactly k by index (argsort, topk).",
        _threshold(strict=True),
    ),
    Mistake(
        "inclusive threshold",
        "All weights equal to your threshold are kept, so too few are removed when some are equal; select exactly k (argsort, topk).",
        _threshold(strict=False),
    ),
    Mistake(
        "kthvalue(0)",
        "kthvalue counts from 1, so k = 0 is an error; with sparsity 0 nothing is removed and there is no threshold.",
        _kth,
    ),
    Mistake(
        "index past the end",
        "With sparsity 1 you read one index after the last weight; then all weights are removed and there is no threshold.",
        _past_the_end,
    ),
    Mistake(
        "index -1",
        "With sparsity 0 you read at index -1, the largest weight, and remove everything; with sparsity 0 remove nothing.",
        _minus_one,
    ),
    Mistake(
        "topk(0)",
        "With sparsity 1 nothing is kept, so topk(0) gives no threshold; take the indices of topk, which need no special case.",
        _topk,
    ),
    Mistake(
        "quantile, strict",
        "torch.quantile interpolates between weights and gives no exact count (with sparsity 0 it removes one); select exactly k weights.",
        _quantile(strict=True),
    ),
    Mistake(
        "quantile, inclusive",
        "torch.quantile interpolates between weights and gives no exact count (with sparsity 1 it keeps one); select exactly k weights.",
        _quantile(strict=False),
    ),
    Mistake(
        "share of the largest",
        "Your threshold is a share of the largest weight; sparsity is a share of the number of weights.",
        lambda weight, sparsity: weight.abs() > sparsity * weight.abs().max(),
    ),
    Mistake(
        "row by row",
        "You remove the same share of every row; remove the smallest weights of the whole tensor, in any row.",
        _per_row,
    ),
    Mistake(
        "numbers, not bool",
        "Your mask contains numbers; it must be a bool tensor (mask.bool(), or a comparison).",
        lambda weight, sparsity: right_magnitude(weight, sparsity).float(),
    ),
    Mistake(
        "masked weight",
        "You return the weight with zeros in it; return the mask, True where a weight is kept.",
        lambda weight, sparsity: weight * right_magnitude(weight, sparsity),
    ),
    Mistake(
        "flattened",
        "Your mask is flat; it needs the shape of the weight (reshape it at the end).",
        lambda weight, sparsity: right_magnitude(weight, sparsity).flatten(),
    ),
)


magnitude_mask = Exercise(
    name="magnitude_mask",
    unit="01_pruning",
    points=2,
    difficulty=1,
    minutes=8,
    oracle=right_magnitude,
    cases=magnitude_cases,
    mistakes=MAGNITUDE_MISTAKES,
    judge=close(0.0, 0.0),
    laws=MAGNITUDE_LAWS,
    workload=magnitude_workload,
    legal={"not contiguous": "So may the results of this unit."},
    library="pruning:magnitude_mask pruning.masks:keep_largest",
)
