"""A race: who gives the right result is timed, in one process and interleaved, so that all meet the same machine.

Each round calls every entrant twice, in an order drawn anew, and times the second call: its code and its weights are as near as they get,
not thrown out of the caches by the others. Percentiles are by the nearest rank, as in `measure.latency`.

Two entrants' calls of one round are a pair: whatever slowed the machine down for a while slowed down both. So a ratio is the median of the
ratios of all pairs, and its interval comes from drawing pairs again and again (Efron 1979, the bootstrap).
"""

import gc
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from posttrain_lab.measure import using_threads

from .peers import Workload, quiet
from .problems import Problem
from .rows import BYTES, OURS, Entrant, Race

Clock = Callable[[], float]
LEAST, MOST = 3, 101  # rounds of an entrant, unless one call takes longer than SLOW seconds
SLOW = 0.05
DRAWS, CONFIDENCE = 2000, 0.95  # of the bootstrap
SETTLE = 0.003  # seconds after which the waiting threads of another library no longer spin


@dataclass(frozen=True)
class Timing:
    """What an entrant did: seconds (p20, p50, p80), or None and a note why not. `right`: its result was the right one.

    times: of each round from the first on, in seconds.
    """

    name: str
    seconds: tuple[float, float, float] | None
    note: str = ""
    right: bool = False
    times: tuple[float, ...] = ()


@dataclass(frozen=True)
class Ratio:
    """How many times as fast: the median of the pairs, and its interval; without an interval where there are too few pairs."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        sure = "" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})"
        return f"{self.value:.2f}x{sure}"


@dataclass(frozen=True)
class Result:
    """A race with its timings; `extra` holds shares of bytes for the targets that ask for them."""

    race: Race
    timings: tuple[Timing, ...]
    extra: dict[str, float] = field(default_factory=dict)

    def timing(self, name: str) -> Timing | None:
        """Of the entrant of this name, None when it did not run."""
        return next((one for one in self.timings if one.name == name), None)


def percentiles(times: list[float]) -> tuple[float, float, float]:
    """(p20, p50, p80) by the nearest rank.

    >>> percentiles([9.0, 2.0, 3.0, 1.0, 4.0])
    (1.0, 3.0, 4.0)
    """
    ranked = sorted(times)
    p20, p50, p80 = (ranked[-(-p * len(ranked) // 100) - 1] for p in (20, 50, 80))
    return p20, p50, p80


def shape_of(race: Race) -> str:
    """(m, k, n), with density where weights are 0."""
    kept = f", {100 * (1 - race.density):.0f} % zeros" if race.density < 1 else ""
    return f"({race.m}, {race.k}, {race.n}){kept}{', extremes' if race.extreme else ''}"


def median(timing: Timing | None) -> float | None:
    """p50 of an timing that was timed."""
    return timing.seconds[1] if timing and timing.seconds else None


def paired_ratio(ours: Timing, theirs: Timing) -> Ratio:
    """Their seconds by ours, round by round. With the bootstrap's 95 % interval from LEAST pairs on; always the same for the same times.

    >>> ours, theirs = (Timing(name, (1.0, 1.0, 1.0), times=times) for name, times in (("a", (1.0, 2.0, 1.0)), ("b", (3.0, 6.0, 3.0))))
    >>> str(paired_ratio(ours, theirs))
    '3.00x (3.00 to 3.00)'
    """
    pairs = torch.tensor([b / a for a, b in zip(ours.times, theirs.times, strict=False)], dtype=torch.float64)
    if len(pairs) < LEAST:
        assert ours.seconds is not None
        assert theirs.seconds is not None
        return Ratio(theirs.seconds[1] / ours.seconds[1])
    drawn = torch.randint(len(pairs), (DRAWS, len(pairs)), generator=torch.Generator().manual_seed(0))
    tail = (1 - CONFIDENCE) / 2
    low, high = pairs[drawn].quantile(0.5, 1).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Ratio(float(pairs.quantile(0.5)), low, high)


def difference(got: Any, want: Tensor) -> float:
    """The largest error in units of the root mean square of what is right: 0.0 when equal, infinity for another shape or NaN.

    >>> difference(torch.tensor([3.0, 0.0]), torch.tensor([3.0, 3.0]))
    1.0
    """
    got = torch.as_tensor(got)
    if got.shape != want.shape:
        return float("inf")
    error = (got.double() - want.double()).abs().max()
    scale = want.double().square().mean().sqrt()
    return float("inf") if error.isnan() else 0.0 if error == 0 else float(error / scale)


def judge(entrant: Entrant, result: Any, problem: Problem) -> tuple[bool, str]:
    """Is the result right? And what to note about it."""
    want, read = problem.expected(entrant.expects), entrant.read(result, problem)
    off = difference(read, want)
    right = off <= entrant.tolerance and (want.is_floating_point() or not torch.as_tensor(read).is_floating_point())
    if right:
        return True, f"off by at most {100 * off:.2g} % of the RMS" if entrant.saturates and off else ""
    known = ", timed nevertheless" if entrant.saturates else ", not timed"
    return False, f"wrong result: off by up to {100 * off:.3g} % of the RMS{known}"


def reason(error: BaseException) -> str:
    """The first line of an error, and its kind."""
    text = (str(error).strip().splitlines() or [""])[0][:160]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def prepare(name: str, entrant: Entrant, problem: Problem, clock: Clock) -> tuple[Workload | None, float, Timing]:
    """The function to time (None: it does not run), seconds of one call, and an timing without times."""
    try:
        with quiet():
            call = entrant.make(problem)
            result, seconds = _timed(call, clock)
            right, note = judge(entrant, result, problem)
            if seconds < SLOW or (right and name == OURS):  # the first call of ours may compile
                _, seconds = _timed(call, clock)
    except ModuleNotFoundError as error:
        return None, 0.0, Timing(name, None, f"missing: {error.name} is not installed")
    except Exception as error:  # whatever a peer raises becomes a row, the others go on
        return None, 0.0, Timing(name, None, f"failed: {reason(error)}")
    return (call if right or entrant.saturates else None), seconds, Timing(name, None, note, right)


def _timed(call: Workload, clock: Clock) -> tuple[Any, float]:
    """What a call returns, and its seconds."""
    start = clock()
    result = call()
    return result, clock() - start


def rounds(one: float, share: float, settle: float = 0.0) -> int:
    """How often an entrant is timed that needs `one` second a call and has `share` seconds: 3 to 101 times, slow ones once."""
    return max(1 if one > SLOW else LEAST, min(MOST, int(share / max(one + settle / 2, 1e-9))))


def interleave(
    calls: Mapping[str, Workload],
    counts: Mapping[str, int],
    clock: Clock = time.perf_counter,
    settle: float = 0.0,
    budget: float = math.inf,
) -> dict[str, list[float]]:
    """Seconds of each call. An unmeasured call comes before each, unless only one is asked for; and a pause of `settle` seconds.

    counts: how often, at most; after LEAST rounds no new one begins when `budget` seconds are over.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, begin = random.Random(0), clock()
    for turn in range(max(counts.values(), default=0)):
        running = [name for name in calls if counts[name] > turn]
        if turn >= LEAST and clock() - begin > budget:
            break
        for name in order.sample(running, len(running)):
            call = calls[name]
            if settle:
                time.sleep(settle)
            if counts[name] > 1 or settle:
                call()
            start = clock()
            call()
            times[name].append(clock() - start)
    return times


def shares(problem: Problem, race: Race) -> dict[str, float]:
    """Bytes of our packed weight as a share of the float ones, where a target asks for it."""
    asked = any(target.measure == BYTES for target in race.targets)
    return {BYTES: problem.nm.bytes / (4 * race.k * race.n)} if asked else {}


def check_all(
    race: Race, problem: Problem, crashed: Mapping[str, str], clock: Clock
) -> tuple[dict[str, Timing], dict[str, Workload], dict[str, float]]:
    """Every entrant once: timings without times, who is to be timed, and how long a warm call took."""
    found: dict[str, Timing] = {}
    calls: dict[str, Workload] = {}
    warm: dict[str, float] = {}
    for name, entrant in race.entrants.items():
        if name in crashed:
            found[name] = Timing(name, None, f"crashed: {crashed[name]}")
            continue
        call, warm[name], found[name] = prepare(name, entrant, problem, clock)
        if call:
            calls[name] = call
    return found, calls, warm


def run_race(race: Race, problem: Problem, budget: float, crashed: Mapping[str, str], clock: Clock = time.perf_counter) -> Result:
    """Equality, then about `budget` seconds of timing. `crashed`: peers that ended another process, and how; they do not run."""
    settle = SETTLE if race.threads > 1 else 0.0
    with using_threads(race.threads), torch.no_grad():
        found, calls, warm = check_all(race, problem, crashed, clock)
        share = budget / max(1, len(calls))
        counts = {name: rounds(warm[name], share / 2, settle) for name in calls}
        gc.collect()
        times = interleave(calls, counts, clock, settle, budget)
    timings = [
        replace(one, seconds=percentiles(times[name]), times=tuple(times[name])) if name in calls else one
        for name, one in found.items()
    ]
    timings = [replace(one, note=_joined(race.note, one.note)) for one in timings]
    return Result(race, tuple(timings), shares(problem, race) if OURS in calls else {})


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
