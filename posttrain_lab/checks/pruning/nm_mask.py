"""Cases, a law and known mistakes of `nm_mask`: n of each m neighbours are kept.

Conventions that the notebook states in the same words: groups are m neighbours along `in` (columns 0 to m - 1, then m to 2m - 1, ...),
m divides `in`, exactly n of each group are kept, among equal magnitudes any. A weight has at least one row.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided
from posttrain_lab.checks.pruning.separated_weights import LARGE, levels, lowest, neighbours, spread, tiny

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


def nm_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "nm workload")
    return [
        Case("the large layer of the network", (ladder(draw, *LARGE, top=0.1), 2, 4)),
        Case("groups of sixteen", (ladder(draw, 9, 320), draw.whole(9, 15), 16)),
        Case("weights around 1e-28", (tiny(draw, 6, 24), 1, 3)),
        Case("float64 weights that are equal in float32", (neighbours(draw, 7, 16), 3, 8)),
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
            return "a weight is kept that is smaller than a removed one of its group."
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
        "You keep m - n of each group; keep n and remove m - n.",
        lambda weight, n, m: right_nm(weight, m - n, m),
    ),
    Mistake(
        "smallest kept",
        "You keep the n smallest of each group; keep the largest magnitudes.",
        lambda weight, n, m: _best(-weight.abs().unflatten(1, (-1, m)), n).flatten(1),
    ),
    Mistake(
        "mask inverted",
        "Your mask is True where a weight is removed; True must mean kept.",
        lambda weight, n, m: ~right_nm(weight, n, m),
    ),
    Mistake(
        "signed",
        "You compare weights with their sign; compare magnitudes, abs().",
        lambda weight, n, m: _best(weight.unflatten(1, (-1, m)), n).flatten(1),
    ),
    Mistake(
        "whole rows",
        "You keep the largest n / m of each whole row; each group of m must keep exactly n.",
        lambda weight, n, m: _best(weight.abs(), n * weight.shape[1] // m),
    ),
    Mistake(
        "whole tensor",
        "You keep n / m of the whole tensor; each group of m must keep exactly n.",
        lambda weight, n, m: lowest(weight.abs(), weight.numel() - n * weight.numel() // m),
    ),
    Mistake(
        "every so many columns",
        "Your groups are columns that are not neighbours; a group is m neighbours: reshape to [out, in / m, m].",
        _interleaved,
    ),
    Mistake(
        "strict threshold",
        "With equal weights in a group you keep fewer than n; select exactly n by index (topk, scatter).",
        _limit(strict=True),
    ),
    Mistake(
        "inclusive threshold",
        "With equal weights in a group you keep more than n; select exactly n by index (topk, scatter).",
        _limit(strict=False),
    ),
    Mistake(
        "indices as ranks",
        "argsort gives indices in order of size, not the rank of each weight; take its last n indices, or those of topk.",
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
        "Your mask contains numbers; it must be a bool tensor.",
        lambda weight, n, m: right_nm(weight, n, m).float(),
    ),
)


nm_mask = Exercise(
    name="nm_mask",
    unit="01_pruning",
    points=2,
    difficulty=2,
    minutes=10,
    oracle=right_nm,
    cases=nm_cases,
    mistakes=NM_MISTAKES,
    judge=close(0.0, 0.0),
    laws=NM_LAWS,
    workload=nm_workload,
    legal={"not contiguous": "So may the results of this unit."},
    library="pruning:nm_mask pruning.masks:nm_from_scores",
)
