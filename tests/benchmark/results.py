"""Made-up results, so that reports can be tested without measuring."""

import dataclasses

from posttrain_lab.benchmark.machine import Machine, Peaks
from posttrain_lab.benchmark.rows import Race, races
from posttrain_lab.benchmark.timing import Result, Timing

PEAKS = tuple(Peaks(threads, 100.0 * threads, 700.0 * threads, 40.0, 200.0) for threads in (1, 2))
MACHINE = Machine("a <CPU>", "AVX2", 2, "python 3; torch 2", PEAKS)


def made(race: Race, times: dict[str, float | None], right: bool = True) -> Result:
    """Each name with its median; None: it did not run."""
    timings = [
        Timing(
            name,
            (0.9 * t, t, 1.1 * t) if t else None,
            "" if t else "missing: scipy is not installed",
            right and bool(t),
            (t,) * 3 if t else (),
        )
        for name, t in times.items()
    ]
    return Result(race, tuple(timings), {"bytes": 0.5625})


def everything(ours: float = 1e-3, theirs: float = 2e-3) -> list[Result]:
    """All races: ours takes `ours` seconds, every other `theirs`; on two threads half."""
    return [
        made(race, {name: (ours if name == "posttrain_lab" else theirs) / race.threads for name in race.entrants})
        for race in races(2, quick=True)
    ]


def without(result: Result, name: str) -> Result:
    """The same, but that entrant is missing."""
    timings = tuple(one if one.name != name else Timing(name, None, "missing: scipy is not installed") for one in result.timings)
    return dataclasses.replace(result, timings=timings)
