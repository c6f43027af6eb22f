"""Measured ratios against the targets of the speed table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .machine import Peaks
from .roofline import share_of_peak
from .rows import BYTES, EXACT, FBGEMM, GEOMETRIC_MEAN, OURS, SAME, SCALING, Target
from .timing import Ratio, Result, median, paired_ratio, shape_of

HOLDS, FAILS, ABOVE, UNKNOWN = "yes", "no", "above the peak", "-"


@dataclass(frozen=True)
class TargetVerdict:
    """One line of the speed table: `ours` in seconds, `best` the fastest peer, `ratio` what the target speaks of.

    `share`: of the peak that was measured on this machine. A target that would need more than the peak is "above the peak".
    """

    op: str
    shape: str
    ours: float | None
    best: str
    best_seconds: float | None
    against: str
    ratio: float | None
    target: str
    holds: str
    note: str = ""
    share: float | None = None
    sure: Ratio | None = None  # `ratio` with its interval, where it is one of times
    best_ratio: Ratio | None = None  # against the fastest peer


def best_peer(result: Result) -> tuple[str, float | None]:
    """The fastest that is not ours, and its median."""
    timed = [(median(one), one.name) for one in result.timings if not one.name.startswith(OURS) and one.seconds]
    seconds, name = min(timed, default=(None, ""))
    return name, seconds


def ratio_of(result: Result, rival: str) -> Ratio | None:
    """How many times as fast ours is, and how sure that is; None when one of both was not timed."""
    ours, theirs = result.timing(OURS), result.timing(rival)
    return paired_ratio(ours, theirs) if ours and theirs and ours.seconds and theirs.seconds else None


def speed_ratio(result: Result, rival: str) -> float | None:
    """How many times as fast ours is; None when one of both was not timed."""
    found = ratio_of(result, rival)
    return found.value if found else None


def judge_target(result: Result, target: Target, peaks: Peaks | None = None) -> TargetVerdict:
    """Does one target of a race hold?"""
    race, ours, rival = result.race, result.timing(OURS), result.timing(target.rival)
    ratio, wanted = speed_ratio(result, target.rival), f">= {target.least:g}x"
    holds = _yes(ratio is not None and ratio >= target.least, ratio is None)
    if target.measure == BYTES:
        ratio, wanted = result.extra.get(BYTES), f"<= {target.least:g}x bytes"
        holds = _yes(ratio is not None and ratio <= target.least, ratio is None)
    elif target.measure == EXACT:
        wanted, holds = "exact", _yes(bool(ours and ours.right), ours is None)
    share = share_of_peak(race, median(ours), peaks)
    if holds == FAILS and target.measure == SAME and share and ratio and share * target.least / ratio > 1:
        holds = ABOVE
    notes = [one.note for one in (ours, rival) if one and one.note and not race.conv]
    if ours and not ours.right:
        holds = FAILS
    name, seconds = best_peer(result)
    note = "; ".join(dict.fromkeys(notes))
    sure, best = ratio_of(result, target.rival) if target.measure == SAME else None, ratio_of(result, name)
    times = median(ours), name, seconds, target.rival, ratio
    return TargetVerdict(race.op, shape_of(race), *times, wanted, holds, note, share, sure, best)


def _yes(holds: bool, unknown: bool = False) -> str:
    return UNKNOWN if unknown else HOLDS if holds else FAILS


def _geometric_mean(results: Sequence[Result]) -> TargetVerdict:
    """int8_linear against FBGEMM over all its shapes: a shape that was not timed leaves no answer."""
    asked = [one for one in results if one.race.op == "int8_linear" and one.race.threads == 1 and not one.race.extreme]
    ratios = [speed_ratio(result, FBGEMM) for result in asked]
    known = [ratio for ratio in ratios if ratio]
    whole = bool(known) and len(known) == len(ratios)
    mean = math.exp(sum(map(math.log, known)) / len(known)) if whole else None
    holds = _yes(mean is not None and mean >= GEOMETRIC_MEAN, mean is None)
    return TargetVerdict("int8_linear", "geometric mean of all", None, "", None, FBGEMM, mean, f">= {GEOMETRIC_MEAN:g}x", holds)


def _scaling(results: Sequence[Result]) -> TargetVerdict:
    """int8_linear at 1024^3 on two threads against one; other numbers of threads are shown without an answer."""
    found = {
        one.race.threads: median(one.timing(OURS))
        for one in results
        if one.race.op == "int8_linear" and (one.race.m, one.race.k, one.race.n) == (1024,) * 3
    }
    many = max(found, default=1)
    alone, shared = found.get(1), found.get(many)
    ratio = alone / shared if alone and shared and many > 1 else None
    target = f">= {SCALING:g}x on 2 threads"
    holds = _yes(ratio is not None and ratio >= SCALING, ratio is None or many != 2)
    against = f"{OURS} on 1 thread"
    note = f"{many} threads" if many > 1 else "one core: no second thread to measure"
    return TargetVerdict("int8_linear", "(1024, 1024, 1024)", shared, "", None, against, ratio, target, holds, note)


def verdicts(results: Sequence[Result], peaks: Peaks | None = None) -> list[TargetVerdict]:
    """Every line of the speed table, in the order of the races; the mean and the scaling behind. peaks: of one thread."""
    lines = [judge_target(result, target, peaks) for result in results for target in result.race.targets]
    return [*lines, _geometric_mean(results), _scaling(results)]
