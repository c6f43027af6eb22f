"""Cases and known mistakes of `group_report`: for whom is the model right?

Conventions that the notebook states in the same words:
- {group: (hits, n, low, high)} for the groups that occur; low and high are Wilson's 95 % interval of hits out of n;
- an answer is the class with the largest logit, the lower one of equal ones;
- logits float [n, c], labels int64 [n], groups int64 [n], any whole numbers; keys are whole numbers, hits and n plain ints.

Wilson's interval in float64; the quantile 1.96 in place of 1.959964 moves a limit by 2e-5 at most, which the judge allows.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, ladder, strided

Interval = Callable[[int, int], tuple[float, float]]
Report = dict[int, tuple[int, int, float, float]]
Z = NormalDist().inv_cdf(0.975)


def _wilson(hits: int, n: int, z: float = Z) -> tuple[float, float]:
    p, square = hits / n, z * z
    middle = (p + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _first_largest(row: list[float]) -> int:
    return row.index(max(row))


def _with(
    interval: Interval = _wilson,
    key: Callable[[int, int, int], int] = lambda answer, label, group: group,
    answer_of: Callable[[list[float]], int] = _first_largest,
) -> Callable[[Tensor, Tensor, Tensor], Report]:
    """The right answer with another interval, another group of an example, or another answer."""

    def answer(logits: Tensor, labels: Tensor, groups: Tensor) -> Report:
        counts: dict[int, list[int]] = {}
        for row, label, group in zip(logits.tolist(), labels.tolist(), groups.tolist(), strict=True):
            said = answer_of(row)
            one = counts.setdefault(key(said, label, group), [0, 0])
            one[0] += said == label
            one[1] += 1
        return {group: (hits, n, *interval(hits, n)) for group, (hits, n) in sorted(counts.items())}

    return answer


right_groups = _with()


def _case(draw: Draw, n: int, classes: int, names: list[int], right: float = 0.7) -> tuple[Tensor, Tensor, Tensor]:
    """Logits that are right with this probability, groups of unequal sizes; every group occurs; below 1 there are hits and misses."""
    labels = torch.randint(classes, (n,), generator=draw.generator)
    logits = draw.normal(n, classes)
    sure = draw.uniform(0, 1, n) < right
    if right < 1:
        sure[:2] = torch.tensor([True, False])
    said = torch.where(sure, labels, (labels + 1) % classes)
    logits[torch.arange(n), said] += 9
    places = torch.cat(
        [
            torch.arange(len(names)),
            torch.multinomial(torch.arange(1.0, len(names) + 1), n - len(names), True, generator=draw.generator),
        ]
    )
    return logits, labels, torch.tensor(names)[places]


def group_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "group report")
    n = draw.whole(40, 60)
    logits, labels, groups = _case(draw, n, 4, [2, 0, 7])
    ties = torch.randint(0, 2, (n, 3), generator=draw.generator).float()
    return [
        Case("three groups", _case(draw, n, 4, [0, 1, 2])),
        Case("groups with gaps, views that are not contiguous", (strided(logits), strided(labels), strided(groups))),
        Case("groups below 0 and large ones", _case(draw, n, 5, [-3, 10_000_000_019, 4])),
        Case("the groups are the labels", (logits, labels, labels)),
        Case("one group", _case(draw, n, 3, [5])),
        Case("all are right", (*_case(draw, n, 3, [1, 4], right=1.1)[:2], groups)),
        Case(
            "none is right",
            (-logits[:, :1].expand(n, 1).repeat(1, 2) + torch.tensor([5.0, 0.0]), torch.ones(n, dtype=torch.long), groups),
        ),
        Case("logits of equal size", (ties, torch.randint(0, 3, (n,), generator=draw.generator), groups)),
        Case("logits that are close to each other", (3 + ladder(draw, n, 4, top=3e-3), labels, groups)),
        Case("groups of one or two examples", _case(draw, 6, 3, [8, 6, 4, 2, 0])),
        Case("by name", (), dict(zip(("logits", "labels", "groups"), _case(draw, n, 2, [1, 3]), strict=True))),
    ]


def group_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "group report at work")
    return [Case("2,000 images of ten classes, the classes as groups", _case(draw, 2000, 10, list(range(10)), 0.9))]


def _groups_add_up(call: Call, seed: int) -> str | None:
    logits, labels, groups = _case(Draw(seed, "group report law"), 50, 4, [1, 2, 5])
    parts, whole = call(logits, labels, groups), call(logits, labels, torch.zeros_like(groups))
    added = [sum(row[i] for row in parts.values()) for i in (0, 1)]
    ((hits, n, _, _),) = whole.values()
    return (
        None
        if added == [hits, n]
        else f"hits and n of all groups add up to {added}, of everyone as one group they are {[hits, n]}."
    )


def _normal(hits: int, n: int) -> tuple[float, float]:
    p = hits / n
    half = Z * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


def _last_largest(row: list[float]) -> int:
    return len(row) - 1 - row[::-1].index(max(row))


def _changed(change: Callable[[int, int, float, float], tuple]) -> Callable[[Tensor, Tensor, Tensor], dict]:
    return lambda *case: {group: change(*found) for group, found in right_groups(*case).items()}


def _empty_too(logits: Tensor, labels: Tensor, groups: Tensor) -> Report:
    found = right_groups(logits, labels, groups)
    between = range(min(found), min(max(found) + 1, min(found) + 50))
    return {**{group: (0, 0, 0.0, 1.0) for group in between}, **found}


def _n_of_all(logits: Tensor, labels: Tensor, groups: Tensor) -> Report:
    return {
        group: (hits, len(labels), *_wilson(hits, len(labels)))
        for group, (hits, _, _, _) in right_groups(logits, labels, groups).items()
    }


GROUP_MISTAKES = (
    Mistake(
        "by answer", "You group by what the model says; use the given groups.", _with(key=lambda answer, label, group: answer)
    ),
    Mistake("by label", "You group by label; use the given groups.", _with(key=lambda answer, label, group: label)),
    Mistake(
        "normal interval",
        "You use p +- 1.96 sqrt(p (1 - p) / n), which fails for few examples; use Wilson's interval.",
        _with(_normal),
    ),
    Mistake(
        "90 %",
        "Your interval is one of 90 %; 95 % is asked for (1.96, not 1.64).",
        _with(lambda hits, n: _wilson(hits, n, 1.6449)),
    ),
    Mistake(
        "99 %",
        "Your interval is one of 99 %; 95 % is asked for (1.96, not 2.58).",
        _with(lambda hits, n: _wilson(hits, n, 2.5758)),
    ),
    Mistake(
        "share",
        "You return the share of hits; return their number.",
        _changed(lambda hits, n, low, high: (hits / n, n, low, high)),
    ),
    Mistake(
        "percent",
        "Your interval is in percent; return shares.",
        _changed(lambda hits, n, low, high: (hits, n, 100 * low, 100 * high)),
    ),
    Mistake(
        "misses",
        "You count the misses; count the hits.",
        _changed(lambda hits, n, low, high: (n - hits, n, *_wilson(n - hits, n))),
    ),
    Mistake(
        "misses in place of n",
        "Your second number is that of the misses; it is n, the examples of the group.",
        _changed(lambda hits, n, low, high: (hits, n - hits, low, high)),
    ),
    Mistake("n of all", "You divide by the number of all examples; n is that of the group.", _n_of_all),
    Mistake("empty groups", "You list groups that no example has; give only those that occur.", _empty_too),
    Mistake(
        "high before low",
        "The limits are in the wrong order; first the lower one.",
        _changed(lambda hits, n, low, high: (hits, n, high, low)),
    ),
    Mistake(
        "half widths",
        "You return how far the limits are from the share; return the limits.",
        _changed(lambda hits, n, low, high: (hits, n, hits / n - low, high - hits / n)),
    ),
    Mistake(
        "last of equal ones",
        "Of equal logits you take the last class; take the first, as argmax does.",
        _with(answer_of=_last_largest),
    ),
    Mistake(
        "smallest logit",
        "You take the class with the smallest logit; take the largest.",
        _with(answer_of=lambda row: row.index(min(row))),
    ),
)


group_report = Exercise(
    name="group_report",
    unit="11_clinic",
    points=2,
    difficulty=1,
    minutes=7,
    oracle=right_groups,
    cases=group_cases,
    workload=group_workload,
    mistakes=GROUP_MISTAKES,
    judge=close(0, 2.5e-5),
    laws=(Law("groups add up", _groups_add_up),),
    library="clinic:group_report",
)
