"""Cases, laws and known mistakes of `select_for_labelling`: which images should a person label next?

Conventions that the notebook states in the same words: p = softmax(logits), row by row; "entropy": the largest -sum p log p first;
"margin": the smallest difference of the two largest probabilities first; "random": any k different indices, by any generator; the result is
an int64 tensor [k] of different row numbers, the most uncertain first; ties may be broken in any way; a probability may be 0.

The law of "random": one call draws a tenth of 4,000 to 5,000 rows. (Every call starts with the same seed, so that several calls would not
be independent.) For a uniform choice the mean position of these rows, as a fraction of n, is 1/2 with a standard deviation of at most
0.289 / sqrt(400) = 0.0145, and the same holds for their ranks by entropy. The limit of 0.09 is six of these. The mean gap
between drawn rows is 10, and gaps are nearly geometric: their standard deviation is 9.5, estimated to about 0.7 from 400 gaps. For a slice
of neighbours or evenly spaced rows it is 0; the limit of 5 is six times 0.7 below 9.5.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.random_cases import Draw, strided

Select = Callable[[Tensor, int, str], Any]


GAP, FAIR, UNEVEN = 2e-3, 0.09, 5.0


def _probabilities(logits: Tensor, dim: int = 1) -> Tensor:
    shifted = (logits.double() - logits.double().amax(dim, keepdim=True)).exp()
    return shifted / shifted.sum(dim, keepdim=True)


def _entropy(p: Tensor) -> Tensor:
    return torch.special.entr(p).sum(1)


def _margin(p: Tensor) -> Tensor:
    ordered = p.sort(dim=1, descending=True).values
    return ordered[:, 0] - ordered[:, 1]


def _uncertainty(logits: Tensor, method: str) -> Tensor:
    p = _probabilities(logits)
    return _entropy(p) if method == "entropy" else -_margin(p)


def _first(scores: Tensor, k: int) -> Tensor:
    return scores.argsort(descending=True)[:k]


def right_select(logits: Tensor, k: int, method: str) -> Tensor:
    if method == "random":
        return torch.randperm(len(logits))[:k]
    return _first(_uncertainty(logits, method), k)


RIVALS: dict[str, Callable[[Tensor], Tensor]] = {
    "logits' margin": lambda logits: -_margin(logits.double()),
    "top": lambda logits: -_probabilities(logits).amax(1),
    "entropy": lambda logits: _entropy(_probabilities(logits)),
    "margin": lambda logits: -_margin(_probabilities(logits)),
    "over the images": lambda logits: _entropy(_probabilities(logits, 0)),
    "softmax twice": lambda logits: -_margin(_probabilities(_probabilities(logits))),
    "squares": lambda logits: -_probabilities(logits).square().sum(1),
    "spread": lambda logits: _probabilities(logits).amin(1) - _probabilities(logits).amax(1),
}


def _apart(scores: Tensor, k: int) -> bool:
    ordered = scores.sort(descending=True).values[: k + 1]
    return bool((ordered[:-1] - ordered[1:] > GAP).all())


def _pool(draw: Draw, n: int, c: int, k: int, sure: bool = False) -> Tensor:
    """Logits whose k most uncertain rows are clear for both methods, and differ for every wrong score (`sure`: some p are 0)."""
    while True:
        logits = draw.normal(n, c) * draw.uniform(0.5, 4.0, n, 1)
        if sure:
            logits[:, draw.whole(0, c - 1)] = -400.0
            logits[:: draw.whole(3, 4)] *= 100
        scores = {name: rival(logits) for name, rival in RIVALS.items()}
        orders = {tuple(_first(values, k).tolist()) for values in scores.values()}
        if all(_apart(scores[name], k) for name in ("entropy", "margin")) and (sure or len(orders) == len(RIVALS)):
            return logits


def select_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "select_for_labelling")
    n, c = draw.whole(18, 30), draw.whole(4, 6)
    logits, wide, sure = _pool(draw, n, c, 6), _pool(draw, 14, 5, 4), _pool(draw, 24, 4, 5, sure=True)
    return [
        Case("the largest entropies", (logits, 6, "entropy")),
        Case("the smallest margins", (logits, 6, "margin")),
        Case("another number of rows", (wide, 4, "margin")),
        Case("probabilities that are 0", (sure, 5, "entropy")),
        Case("probabilities that are 0, by margin", (sure, 5, "margin")),
        Case("logits far from 0", (logits + 500, 5, "entropy")),
        Case("one row only", (draw.normal(1, 3), 1, "entropy")),
        Case("the single most uncertain", (wide, 1, "entropy")),
        Case("a view that is not contiguous", (strided(wide), 4, "entropy")),
    ]


def _problem(found: Any, k: int, n: int) -> str | None:
    """Is it k different row numbers?"""
    if type(found) is not Tensor or found.dtype != torch.int64 or found.shape != (k,):
        got = f"{str(found.dtype)[6:]} {list(found.shape)}" if type(found) is Tensor else type(found).__name__
        return f"an int64 tensor [{k}] of row numbers is expected, got {got}."
    if k and (found.min() < 0 or found.max() >= n):
        return f"row numbers run from 0 to {n - 1}, got {found.min().item()} to {found.max().item()}."
    return None if len(found.unique()) == k else f"{k} different rows are expected, {k - len(found.unique())} are repeated."


def _any_rows(call: Call, seed: int) -> str | None:
    """All rows, no rows, and equal rows: different numbers, in any order."""
    draw = Draw(seed, "any rows")
    n = draw.whole(8, 12)
    for method in ("entropy", "margin", "random"):
        for logits, k in ((draw.normal(n, 3), n), (draw.normal(n, 3), 0), (torch.zeros(n, 4), 5)):
            if found := _problem(call(logits, k, method), k, n):
                return f'"{method}", {k} of {n}: {found}'
    return None


def _fair(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "fair")
    n = draw.whole(4000, 5000)
    logits, k = draw.normal(n, 4) * draw.uniform(0.5, 4.0, n, 1), n // 10
    found = call(logits, k, "random")
    if problem := _problem(found, k, n):
        return problem
    place = torch.empty(n, dtype=torch.float64)
    place[_uncertainty(logits, "entropy").argsort()] = (torch.arange(n) + 0.5).double() / n
    for what, places in (("position in the pool", (found + 0.5).double() / n), ("rank by entropy", place[found])):
        mean = places.mean().item()
        if abs(mean - 0.5) > FAIR:
            return f"of {k} rows drawn out of {n} the mean {what}, as a fraction, is {mean:.2f}; for a uniform choice it is 0.5."
    gaps = found.sort().values.diff().double().std().item()
    if gaps < UNEVEN:
        return f"of {k} rows drawn out of {n} the standard deviation of the gaps is {gaps:.1f}; for a uniform choice it is about 9.5."
    return None


SELECT_LAWS = (Law("k different rows", _any_rows), Law("random is uniform", _fair))


def _wrong(
    scores: Callable[[Tensor, str], Tensor] = _uncertainty,
    random: Callable[[Tensor, int], Tensor] = lambda logits, k: torch.randperm(len(logits))[:k],
    last: Callable[[Tensor, int], Any] = _first,
) -> Select:
    def select_for_labelling(logits: Tensor, k: int, method: str) -> Any:
        return random(logits, k) if method == "random" else last(scores(logits, method), k)

    return select_for_labelling


def _other(entropy: Callable[[Tensor], Tensor] | None = None, margin: Callable[[Tensor], Tensor] | None = None) -> Select:
    """Another score in place of one of the two."""
    chosen = {"entropy": entropy, "margin": margin}

    def scores(logits: Tensor, method: str) -> Tensor:
        other = chosen[method]
        return other(logits) if other else _uncertainty(logits, method)

    return _wrong(scores)


def _nan_entropy(logits: Tensor) -> Tensor:
    p = logits.softmax(1)
    return -(p * p.log()).sum(1)


SELECT_MISTAKES = (
    Mistake(
        "most certain first",
        "You select the rows about which the network is most certain; select the most uncertain ones.",
        _wrong(lambda logits, method: -_uncertainty(logits, method)),
    ),
    Mistake(
        "largest margin first",
        "You take the largest margins, the most certain rows; take the smallest.",
        _other(margin=lambda logits: _margin(_probabilities(logits))),
    ),
    Mistake(
        "smallest entropy first",
        "You take the smallest entropies, the most certain rows; take the largest.",
        _other(entropy=lambda logits: -_entropy(_probabilities(logits))),
    ),
    Mistake(
        "margin of logits",
        "Your margin is a difference of logits; take softmax first, because the margin is a difference of probabilities.",
        _other(margin=RIVALS["logits' margin"]),
    ),
    Mistake(
        "largest probability",
        "You use the largest probability alone; the margin is its difference from the second largest.",
        _other(margin=RIVALS["top"]),
    ),
    Mistake(
        "largest minus smallest",
        "You subtract the smallest probability; the margin is the difference of the two largest.",
        _other(margin=RIVALS["spread"]),
    ),
    Mistake(
        "squares",
        "You take 1 minus the sum of squares (Gini's measure); the entropy is -sum p log p.",
        _other(entropy=RIVALS["squares"]),
    ),
    Mistake(
        "softmax over the images",
        "Your softmax runs over the images; probabilities add up to 1 over the classes of one row.",
        _other(entropy=RIVALS["over the images"]),
    ),
    Mistake(
        "always entropy",
        'Your function ignores `method`; for "margin" take the smallest margins.',
        _other(margin=RIVALS["entropy"]),
    ),
    Mistake(
        "always margin",
        'Your function ignores `method`; for "entropy" take the largest entropies.',
        _other(entropy=RIVALS["margin"]),
    ),
    Mistake(
        "logarithm of 0",
        "Where a probability is 0, 0 times its logarithm is not a number; use log_softmax or torch.special.entr.",
        _other(entropy=_nan_entropy),
    ),
    Mistake(
        "sorted by number",
        "You sorted the rows by their numbers; the most uncertain row comes first.",
        _wrong(last=lambda scores, k: _first(scores, k).sort().values),
    ),
    Mistake(
        "scores returned",
        "You return the uncertainties; return the row numbers (argsort, or topk(...).indices).",
        _wrong(last=lambda scores, k: scores.sort(descending=True).values[:k].float()),
    ),
    Mistake(
        "k ignored",
        "You return all rows; return only the first k.",
        _wrong(last=lambda scores, k: _first(scores, len(scores))),
    ),
    Mistake(
        "duplicates",
        "You draw the random rows with replacement, so some are repeated; use torch.randperm.",
        _wrong(random=lambda logits, k: torch.randint(len(logits), (k,)) if len(logits) else torch.arange(0)),
    ),
    Mistake(
        "the first k",
        'Your "random" always takes the first rows; shuffle them first (torch.randperm).',
        _wrong(random=lambda logits, k: torch.arange(k)),
    ),
    Mistake(
        "a slice of the pool",
        'Your "random" takes rows that are neighbours; draw each row independently (torch.randperm).',
        _wrong(random=lambda logits, k: torch.arange(k) + torch.randint(len(logits) - k + 1, ())),
    ),
    Mistake(
        "random is entropy",
        'Your "random" uses the logits; it must not, because it is the baseline for the other methods.',
        _wrong(random=lambda logits, k: right_select(logits, k, "entropy")),
    ),
)


select_for_labelling = Exercise(
    name="select_for_labelling",
    unit="03_fine_tuning",
    points=2,
    difficulty=2,
    minutes=12,
    oracle=right_select,
    cases=select_cases,
    mistakes=SELECT_MISTAKES,
    laws=SELECT_LAWS,
    library="finetuning:select_for_labelling",
)
