"""Cases, laws and known mistakes of `latency`: how long does a call take?

Conventions that the notebook states in the same words: (p20, p50, p80) in seconds of `repeats` measured calls, after `warmup` calls that
are not measured. Which of the usual definitions of a percentile is used does not matter: sorted, the durations have a plateau of equal
values around 20 %, 50 % and 80 % that is as wide as the definitions differ (nearest rank, linear interpolation, the nine of Hyndman and
Fan: at most 1.5 positions).
"""

import time
from collections.abc import Callable
from typing import Any

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.fake_clock import TimedCall
from posttrain_lab.checks.engine.judges import close, show
from posttrain_lab.checks.engine.random_cases import Draw

Percentiles = tuple[float, float, float]


Function = Callable[[], Any]


def _sorted_durations(draw: Draw, n: int) -> list[float]:
    """Rising durations in seconds, with the three plateaus."""
    times = [round(0.001 + 0.0004 * i + draw.real(0, 0.0003), 6) for i in range(n)]
    for share in (0.2, 0.5, 0.8):
        low, high = max(0, int(share * n - 1.5)), min(n - 1, int(share * n + 1.5))
        times[low : high + 1] = [times[low]] * (high + 1 - low)
    times[-1] += 0.05  # so that the mean is not the median
    return times


def _case(words: str, durations: list[float], warmup: int, seconds: float = 0.5) -> Case:
    """Slow calls before (the warm-up) and slower ones after (they must never be made)."""
    slow = [seconds + 0.1 * i for i in range(warmup)]
    return Case(words, (TimedCall((*slow, *durations, 3.0)), len(durations), warmup))


def latency_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "latency")
    up = [_sorted_durations(draw, draw.whole(21, 41)) for _ in range(5)]
    turned = up[0][len(up[0]) // 3 :] + up[0][: len(up[0]) // 3]
    repeats = draw.whole(2, 9)
    return [
        _case("the first calls are slow", turned, draw.whole(2, 5)),
        _case("calls that get slower", up[1], 1),
        _case("calls that get faster", up[2][::-1], draw.whole(6, 9)),
        _case("no warm-up at all", up[3][5:] + up[3][:5], 0),
        _case("calls in disorder", draw.shuffled(up[4]), 3),
        _case("equal calls of a few nanoseconds to microseconds", [draw.whole(2, 900) * 1e-6] * repeats, 1),
        _case("a single measured call", [draw.real(0.01, 0.02)], 2),
        _case("a single measured call and no warm-up", [draw.real(0.01, 0.02)], 0),
        Case("first calls that are fast", (TimedCall((1e-5, 2e-5, *up[0], 3.0)), len(up[0]), 2)),
    ]


def latency_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "latency at work")
    usual = draw.shuffled(_sorted_durations(draw, 50))
    return [
        Case("the usual 50 calls after 5: no other argument", (TimedCall((*(0.2 + 0.1 * i for i in range(5)), *usual, 3.0)),)),
        Case("`repeats` by name, the usual warm-up", (TimedCall((*[0.4] * 5, *usual[:1] * 9, 3.0)),), {"repeats": 9}),
        _case(
            "500 calls, where the definitions of a percentile agree within 0.6 %", draw.shuffled(_sorted_durations(draw, 500)), 2
        ),
    ]


def _usual_numbers(call: Call, seed: int) -> str | None:
    """One call more or less, before or among the measured ones, moves all ranks: the calls at both ends are the extremes."""
    between = Draw(seed, "usual numbers").shuffled([0.02 + 0.001 * i for i in range(48)])
    for after in (0.0001, 0.2):
        durations = (0.9, 0.8, 0.7, 0.6, 0.5, 0.01, *between, 0.012, *[after] * 9)
        found, wanted = call(TimedCall(durations)), call(TimedCall(durations), 50, 5)
        if any(abs(one - two) > 1e-7 for one, two in zip(found, wanted, strict=True)):
            return f"latency(fn) must give what latency(fn, 50, 5) gives, {show(wanted)}, and gives {show(found)}."
    return None


def _between(lows: tuple[int, int, int], durations: tuple[float, ...]) -> Callable[[Call, int], str | None]:
    """Different calls: wherever a definition puts the percentiles, they lie between certain neighbours of the sorted times."""
    times = sorted(durations)

    def complaint(call: Call, seed: int) -> str | None:
        found = call(TimedCall((*durations, 3.0)), len(durations), 0)
        for name, value, low in zip(("p20", "p50", "p80"), found, lows, strict=True):
            if not times[low] - 1e-7 <= value <= times[low + 1] + 1e-7:
                return f"calls of {times} seconds: {name} must lie between {times[low]} and {times[low + 1]}, got {value:.6g}."
        return None

    return complaint


LATENCY_LAWS = (
    Law("the usual numbers of calls", _usual_numbers),
    Law("four calls", _between((0, 1, 2), (0.03, 0.01, 0.04, 0.02))),
    Law("five calls", _between((0, 1, 3), (0.03, 0.05, 0.01, 0.04, 0.02))),
    Law("ten calls", _between((1, 4, 7), (0.03, 0.05, 0.01, 0.09, 0.04, 0.07, 0.02, 0.1, 0.06, 0.08))),
)


def _processor_time(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        fn()
        times.append(time.process_time() - start)
    return _ranks(sorted(times))


def _fastest_kept(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    return _ranks(sorted(_times(fn, repeats + warmup, 0))[:repeats])


def _times(fn: Function, repeats: int, warmup: int) -> list[float]:
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        fn()
        times.append(time.perf_counter() - start)
    return times


def _ranks(times: list[float]) -> Percentiles:
    last = len(times) - 1
    return times[round(0.2 * last)], times[round(0.5 * last)], times[round(0.8 * last)]


def right_latency(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    return _ranks(sorted(_times(fn, repeats, warmup)))


def _mean(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    times = _times(fn, repeats, warmup)
    mean = sum(times) / repeats
    spread = (sum((t - mean) ** 2 for t in times) / repeats) ** 0.5
    return mean - spread, mean, mean + spread


def _one_long_run(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    mean = sum(_times(fn, repeats, warmup)) / repeats
    return mean, mean, mean


def _total(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    total = sum(_times(fn, repeats, warmup))
    return total, total, total


def _clock_not_restarted(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    times = _times(fn, repeats, warmup)
    return _ranks([sum(times[: i + 1]) for i in range(repeats)])


def _extremes(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
    times = sorted(_times(fn, repeats, warmup))
    return times[0], _ranks(times)[1], times[-1]


def _scaled(factor: float) -> Callable[[Function, int, int], Percentiles]:
    def latency(fn: Function, repeats: int = 50, warmup: int = 5) -> Percentiles:
        low, middle, high = right_latency(fn, repeats, warmup)
        return factor * low, factor * middle, factor * high

    return latency


LATENCY_MISTAKES = (
    Mistake(
        "mean",
        "You return the mean (and a deviation): one slow call changes it a lot; sort the times and take order statistics.",
        _mean,
    ),
    Mistake(
        "one long run",
        "You timed all calls together and divided: that is a mean, and it hides how calls differ; time each call.",
        _one_long_run,
    ),
    Mistake(
        "no warm-up",
        "You measured from the very first call; make `warmup` calls before that, because first calls fill caches and compile.",
        lambda fn, repeats=50, warmup=5: right_latency(fn, repeats, 0),
    ),
    Mistake(
        "warm-up measured",
        "Your times include the warm-up calls; make those first, without measuring them.",
        lambda fn, repeats=50, warmup=5: right_latency(fn, repeats + warmup, 0),
    ),
    Mistake(
        "fewer measured calls",
        "You subtracted the warm-up calls from `repeats`; measure `repeats` calls, after the warm-up.",
        lambda fn, repeats=50, warmup=5: _ranks(sorted(_times(fn, max(1, repeats - warmup), warmup))),
    ),
    Mistake("total", "You return the time of all calls together; return the time of one call.", _total),
    Mistake(
        "clock not restarted",
        "You never restart the clock, so each time includes all calls before it; read the clock before every call.",
        _clock_not_restarted,
    ),
    Mistake(
        "extremes",
        "You return the smallest and the largest time, which depend on the number of calls; return the 20th and 80th percentile.",
        _extremes,
    ),
    Mistake(
        "not sorted",
        "You took the calls at 20, 50 and 80 % of the order in which they were made; sort the times first.",
        lambda fn, repeats=50, warmup=5: _ranks(_times(fn, repeats, warmup)),
    ),
    Mistake(
        "processor's time",
        "That clock measures processor time and does not advance while a call waits; use time.perf_counter.",
        _processor_time,
    ),
    Mistake(
        "slowest left out",
        "You leave out the slowest calls; leave out the first `warmup` calls, whether they are slow or not.",
        _fastest_kept,
    ),
    Mistake("milliseconds", "You return milliseconds; return seconds.", _scaled(1e3)),
    Mistake("nanoseconds", "You return nanoseconds; return seconds.", _scaled(1e9)),
    Mistake(
        "order reversed",
        "You return the slow end first; the order is (p20, p50, p80).",
        lambda fn, repeats=50, warmup=5: right_latency(fn, repeats, warmup)[::-1],
    ),
)


# 1e-8 s: a clock in whole nanoseconds rounds both ends of a call
latency = Exercise(
    name="latency",
    unit="00_start_here",
    points=2,
    difficulty=3,
    minutes=10,
    oracle=right_latency,
    cases=latency_cases,
    workload=latency_workload,
    mistakes=LATENCY_MISTAKES,
    judge=close(1e-06, 1e-08),
    laws=LATENCY_LAWS,
    library="measure:latency",
)
