"""Cases and known mistakes of `tail`: the first call, the usual call, and the slow ones.

Conventions that the notebook states in the same words:
- times: a list of floats in the order in which the calls were made, more than `warmup` of them;
- first: the very first time; p50 and p99: without the first `warmup` calls, by nearest rank: of n sorted times the one at rank
  ceil(p n / 100), counted from 1; plain floats.
"""

import math
from collections.abc import Callable

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw

Times = list[float]
Found = tuple[float, float, float]


def _rank(times: Times, percent: int) -> float:
    """The smallest time that at least `percent` of all do not exceed."""
    ranked = sorted(times)
    return next(t for i, t in enumerate(ranked, 1) if 100 * i >= percent * len(ranked))


def right_tail(times: Times, warmup: int) -> Found:
    rest = times[warmup:]
    return times[0], _rank(rest, 50), _rank(rest, 99)


def _times(draw: Draw, n: int, warmup: int) -> Times:
    """Slow calls first, one of the later ones slow as well; all different."""
    ladder = draw.shuffled([0.2 + 0.01 * i + draw.real(0, 0.004) for i in range(n)])
    ladder[draw.whole(0, n - 1)] *= 30
    first = [9.0 - 0.5 * i + draw.real(0, 0.1) for i in range(warmup)]
    return [round(t, 6) for t in (*first, *ladder)]


def _case(draw: Draw, n: int, warmup: int) -> tuple[Times, int]:
    return _times(draw, n, warmup), warmup


def tail_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "tail")
    times, warmup = _case(draw, 40, 3)
    slow_end = [*sorted(_times(draw, 29, 0)), 40.0]
    return [
        Case("30 calls after three", _case(draw, 30, 3)),
        Case("an odd number of calls", _case(draw, 2 * draw.whole(8, 14) + 1, 2)),
        Case("100 calls: one is slower than p99", _case(draw, 100, 2)),
        Case("101 calls", _case(draw, 101, 1)),
        Case("200 calls", _case(draw, 200, draw.whole(1, 6))),
        Case("no warm-up", _case(draw, 25, 0)),
        Case("one call is left", _case(draw, 1, 4)),
        Case("two calls are left", _case(draw, 2, 2)),
        Case("the slowest call comes last", (slow_end, 1)),
        Case("equal times", ([0.5] * 12, 2)),
        Case("a first call that is fast", ([0.01, *_times(draw, 20, 0)], 4)),
        Case("by name", (), {"times": times, "warmup": warmup}),
    ]


def tail_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "tail at work")
    return [Case("300 calls", _case(draw, 300, 5)), Case("1,500 calls", _case(draw, 1500, 10))]


def _order(call: Call, seed: int) -> str | None:
    times, warmup = _case(Draw(seed, "tail law"), 60, 4)
    turned = [*times[:warmup], *times[warmup:][::-1]]
    return (
        None
        if tuple(call(times, warmup)) == tuple(call(turned, warmup))
        else "the order of the calls after the warm-up does not matter."
    )


def _with(
    rest: Callable[[Times, int], Times] = lambda times, warmup: times[warmup:],
    first: Callable[[Times, int], float] = lambda times, warmup: times[0],
    middle: Callable[[Times], float] = lambda rest: _rank(rest, 50),
    slow: Callable[[Times], float] = lambda rest: _rank(rest, 99),
) -> Callable[[Times, int], Found]:
    def mistaken(times: Times, warmup: int) -> Found:
        kept = rest(times, warmup)
        return first(times, warmup), middle(kept), slow(kept)

    return mistaken


def _at(times: Times, share: float) -> float:
    """Linear interpolation between the two neighbours."""
    ranked, at = sorted(times), share * (len(times) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (at - low) * (ranked[high] - ranked[low])


def _at_rank(rank: Callable[[float], int]) -> Callable[[int], Callable[[Times], float]]:
    """The place that a rank, made of p n / 100, has in a list; beyond its end there is none."""
    return lambda percent: lambda rest: sorted(rest)[rank(percent * len(rest) / 100)]


_CUT, _ROUNDED, _NOT_SUBTRACTED = (
    _at_rank(lambda share: math.floor(share) - 1),
    _at_rank(lambda share: round(share) - 1),
    _at_rank(math.ceil),
)


def _shifted(percent: int) -> Callable[[Times], float]:
    """The place p n / 100, counted from 0."""
    return lambda rest: sorted(rest)[min(percent * len(rest) // 100, len(rest) - 1)]


TAIL_MISTAKES = (
    Mistake(
        "warm-up counted",
        "Your percentiles include the first calls, which load and compile; leave out the first `warmup` calls.",
        _with(rest=lambda times, warmup: times),
    ),
    Mistake(
        "first after the warm-up",
        "Your first time is that after the warm-up; the very first call is what a user waits for.",
        _with(first=lambda times, warmup: times[warmup]),
    ),
    Mistake("slowest as p99", "You return the largest time; p99 leaves one call in a hundred above it.", _with(slow=max)),
    Mistake(
        "mean",
        "You return the mean; a single slow call changes it: take the time in the middle.",
        _with(middle=lambda rest: sum(rest) / len(rest)),
    ),
    Mistake(
        "interpolated",
        "You interpolate between two times; by nearest rank a percentile is a time that was measured.",
        _with(middle=lambda rest: _at(rest, 0.5), slow=lambda rest: _at(rest, 0.99)),
    ),
    Mistake(
        "rank from 0",
        "Your ranks are one too high: rank ceil(p n / 100) is counted from 1, a list from 0.",
        _with(middle=_shifted(50), slow=_shifted(99)),
    ),
    Mistake(
        "rank in place of its index",
        "You take the time at index ceil(p n / 100), beyond the end at last; ranks are counted from 1, so subtract 1.",
        _with(middle=_NOT_SUBTRACTED(50), slow=_NOT_SUBTRACTED(99)),
    ),
    Mistake(
        "rank rounded down",
        "You round the rank p n / 100 down; round it up: -(-p * n // 100).",
        _with(middle=_CUT(50), slow=_CUT(99)),
    ),
    Mistake(
        "rank rounded",
        "You round the rank p n / 100 to the nearest whole number; round it up: -(-p * n // 100).",
        _with(middle=_ROUNDED(50), slow=_ROUNDED(99)),
    ),
    Mistake(
        "middle of two",
        "Between two times in the middle you take their mean; by nearest rank p50 is a time that was measured, the lower one.",
        _with(middle=lambda rest: (_rank(rest, 50) + sorted(rest)[len(rest) // 2]) / 2),
    ),
    Mistake(
        "sorted first",
        "You sort before you leave out the warm-up, and so leave out the fastest calls; leave out the first ones.",
        _with(rest=lambda times, warmup: sorted(times)[warmup:]),
    ),
    Mistake(
        "fastest as the first",
        "Your first number is the fastest call; it is the very first one, before anything is sorted.",
        _with(first=lambda times, warmup: min(times)),
    ),
    Mistake(
        "not sorted",
        "You take the calls at 50 and 99 % of the order in which they were made; sort them first.",
        _with(middle=lambda rest: rest[math.ceil(0.5 * len(rest)) - 1], slow=lambda rest: rest[math.ceil(0.99 * len(rest)) - 1]),
    ),
    Mistake("p95", "Your last number is p95; it is p99.", _with(slow=lambda rest: _rank(rest, 95))),
    Mistake(
        "slowest left out",
        "You leave out the slowest calls; leave out the first ones, whether slow or fast.",
        _with(rest=lambda times, warmup: sorted(times)[: len(times) - warmup]),
    ),
    Mistake(
        "last left out",
        "You leave out the last calls; the warm-up are the first ones.",
        _with(rest=lambda times, warmup: times[: len(times) - warmup]),
    ),
    Mistake(
        "one more left out",
        "You leave out one call too many; the first `warmup` calls.",
        _with(rest=lambda times, warmup: times[warmup + 1 :] or times[-1:]),
    ),
    Mistake(
        "slowest as the first",
        "Your first number is the slowest of the first calls; it is the very first one.",
        _with(first=lambda times, warmup: max(times)),
    ),
    Mistake(
        "p99 before p50",
        "You return p99 before p50; the order is (first, p50, p99).",
        lambda times, warmup: (times[0], *right_tail(times, warmup)[:0:-1]),
    ),
)


tail = Exercise(
    name="tail",
    unit="08_deployment",
    points=1,
    difficulty=1,
    minutes=4,
    oracle=right_tail,
    cases=tail_cases,
    workload=tail_workload,
    mistakes=TAIL_MISTAKES,
    judge=close(1e-9, 1e-12),
    laws=(Law("order", _order),),
    library="deployment.budget:tail",
)
