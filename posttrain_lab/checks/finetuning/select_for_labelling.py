"""Cases, laws and known mistakes of `select_for_labelling`: which images should a person label next?

Conventions that the notebook states in the same words: p = softmax(logits), row by row; "entropy": the largest -sum p log p first;
"margin": the smallest difference of the two largest probabilities first; "random": any k different indices, by any generator, but
no seed is set; the result is an int64 tensor [k] of different row numbers, the most uncertain first; ties may be broken in any way; a
probability may be 0.

The law of "random": one call draws a tenth of 4,000 to 5,000 rows. (Every call starts with the same seed, so that several calls would not
be independent.) For a uniform choice the mean position of these rows, as a fraction of n, is 1/2 with a standard deviation of at most
0.289 / sqrt(400) = 0.0145, and the same holds for their ranks by entropy and by margin. The limit of 0.09 is six of these. Of 20 equal
parts of the pool each has 20 to 25 of the rows: the sum of (found - expected)^2 / expected is chi-squared with 19 degrees of freedom, above
80 once in 10^9 draws; if one row in eight is always among the most uncertain it is about 100. The mean gap
between drawn rows is 10, and gaps are nearly geometric: their standard deviation is 9.5, estimated to about 0.7 from 400 gaps. For a slice
of neighbours or evenly spaced rows it is 0; the limit of 5 is six times 0.7 below 9.5.
"""

from typing import Any

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.finetuning.select_for_labelling_mistakes import SELECT_MISTAKES
from posttrain_lab.checks.finetuning.select_for_labelling_oracle import (
    RIVALS,
    entropy_of,
    first_of,
    margin_of,
    probabilities,
    right_select,
    uncertainty,
)

GAP, FAIR, UNEVEN, PARTS, CROWDED = 2e-3, 0.09, 5.0, 20, 80.0
FINE = 4e-5  # between neighbours in the workload: float32 errs by some 5e-7 (sums of 10 numbers below 1), 16 bits by 1e-4


def _apart(scores: Tensor, k: int) -> bool:
    ordered = scores.sort(descending=True).values[: k + 1]
    return bool((ordered[:-1] - ordered[1:] > GAP).all())


def _pool(draw: Draw, n: int, c: int, k: int, sure: bool = False, shift: float = 0.0) -> Tensor:
    """Logits whose k most uncertain rows are clear for both methods, and differ for every wrong score (`sure`: some p are 0)."""
    while True:
        logits = draw.normal(n, c) * draw.uniform(0.5, 4.0, n, 1) + shift
        if sure:
            logits[:, draw.whole(0, c - 1)] = -400.0
            logits[:: draw.whole(3, 4)] *= 100
        scores = {name: rival(logits) for name, rival in RIVALS.items()}
        orders = {tuple(first_of(values, k).tolist()) for values in scores.values()}
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
        Case("one row with a probability of 0", (_one_impossible(draw), 2, "entropy")),
        Case("probabilities that are 0", (sure, 5, "entropy")),
        Case("probabilities that are 0, by margin", (sure, 5, "margin")),
        Case("logits far from 0", (_pool(draw, n, c, 5, shift=20_000.0), 5, "entropy")),
        Case("one row only", (draw.normal(1, 3), 1, "entropy")),
        Case("the single most uncertain", (wide, 1, "entropy")),
        Case("a view that is not contiguous", (strided(wide), 4, "entropy")),
    ]


def _one_impossible(draw: Draw) -> Tensor:
    """One row with a probability of 0, the second most uncertain by entropy; all other probabilities are above 0."""
    while True:
        logits = draw.normal(20, 5) * draw.uniform(3.0, 6.0, 20, 1)
        first, second = draw.shuffled(range(20))[:2]
        logits[[first, second]] *= 0.02
        logits[second, draw.whole(0, 4)] = -400.0
        scores = entropy_of(probabilities(logits))
        if first_of(scores, 2).tolist() == [first, second] and _apart(scores, 2):
            return logits


def _in_steps(draw: Draw, n: int, c: int, method: str) -> Tensor:
    """Logits of n rows in random order whose scores differ by FINE from one to the next."""
    logits = draw.normal(n, c).double()
    score = entropy_of if method == "entropy" else margin_of
    goal = (1.2 - FINE * torch.arange(n) if method == "entropy" else 0.05 + FINE * torch.arange(n)).double()
    low, high = torch.zeros(n, 1).double(), torch.full((n, 1), 60.0).double()
    for _ in range(50):  # the larger the factor, the smaller the entropy and the larger the margin
        middle = (low + high) / 2
        found = score(probabilities(logits * middle))
        small = ((found > goal) if method == "entropy" else (found < goal))[:, None]
        low, high = torch.where(small, middle, low), torch.where(small, high, middle)
    return (logits * low)[draw.shuffled(range(n))].float()


def select_workload(seed: int) -> list[Case]:
    """Pools of the notebook's size and ten classes whose scores differ little, more classes than ten, and float64."""
    draw = Draw(seed, "workload of select_for_labelling")
    pools = {method: _in_steps(draw, n, 10, method) for method, n in (("entropy", 1100), ("margin", 880))}
    return [
        Case("a pool a little larger than the notebook's", (pools["entropy"], 10, "entropy")),
        Case("the notebook's pool, by margin", (pools["margin"], 10, "margin")),
        Case("more than ten classes", (_in_steps(draw, 60, 37, "entropy"), 8, "entropy")),
        Case("in float64", (_in_steps(draw, 60, 12, "margin").double(), 8, "margin")),
        Case("in float64, all logits close to 0", (1e-8 * draw.normal(40, 12).double(), 8, "margin")),
        Case("in float64, all logits close to 1", (1 + 1e-8 * draw.normal(40, 12).double(), 8, "margin")),
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
    for what, places in _places(logits, found).items():
        mean, counts = places.mean().item(), torch.histc(places, PARTS, 0, 1)
        if abs(mean - 0.5) > FAIR:
            return f"of {k} rows drawn out of {n} the mean {what}, as a fraction, is {mean:.2f}; for a uniform choice it is 0.5."
        if ((counts - k / PARTS) ** 2 / (k / PARTS)).sum() > CROWDED:
            most, part = int(counts.max()), int(counts.argmax())
            return f"of {k} rows drawn {most} are in part {part + 1} of {PARTS} by {what}; for a uniform choice about {k // PARTS} are."
    gaps = found.sort().values.diff().double().std().item()
    if gaps < UNEVEN:
        return f"of {k} rows drawn out of {n} the standard deviation of the gaps is {gaps:.1f}; for a uniform choice it is about 9.5."
    return None


def _places(logits: Tensor, found: Tensor) -> dict[str, Tensor]:
    """Where the rows found are in the pool, in the order by entropy and in that by margin, as fractions."""
    n = len(logits)
    places, fractions = {"position in the pool": (found + 0.5).double() / n}, (torch.arange(n) + 0.5).double() / n
    for method in ("entropy", "margin"):
        rank = torch.empty(n, dtype=torch.float64)
        rank[uncertainty(logits, method).argsort()] = fractions
        places[f"rank by {method}"] = rank[found]
    return places


SELECT_LAWS = (Law("k different rows", _any_rows), Law("random is uniform", _fair))


select_for_labelling = Exercise(
    name="select_for_labelling",
    unit="03_fine_tuning",
    points=2,
    difficulty=2,
    minutes=12,
    oracle=right_select,
    cases=select_cases,
    workload=select_workload,
    legal={"not contiguous": "Return an int64 tensor `[k]` of different row numbers"},
    mistakes=SELECT_MISTAKES,
    laws=SELECT_LAWS,
    library="finetuning:select_for_labelling",
)
