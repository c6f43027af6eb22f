"""How much time has a submission used? Its processor time, and the time it slept; not the time it waited for a busy machine."""

import contextlib
import os
from pathlib import Path
from time import monotonic

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PROC = Path("/proc")


class TimeUsed:
    """The time used by a process and all that it started, since this object was made; ask `seconds` a few times each second.

    A process that is ready to run and does not get a processor is not charged. Where there is no /proc, the clock on the wall counts.
    """

    def __init__(self, process: int):
        self._process, self._slept = process, 0.0
        self._asked = monotonic()
        self._before = _look(process)[0]

    def seconds(self) -> float:
        """Processor time and time asleep."""
        now, (busy, awake) = monotonic(), _look(self._process)
        if not awake:
            self._slept += now - self._asked
        self._asked = now
        return max(busy - self._before, 0.0) + self._slept


def tree(process: int) -> list[int]:
    """A process and all its descendants."""
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        with contextlib.suppress(OSError, ValueError):
            for thread in (PROC / str(one) / "task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _look(process: int) -> tuple[float, bool]:
    """The processor time of the tree, children that have ended included, and whether any thread is running or ready to run."""
    ticks, awake = 0, False
    for one in tree(process):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _fields(PROC / str(one) / "stat")
            ticks += sum(int(field) for field in fields[11:15])
            awake = awake or any(_fields(thread / "stat")[0] in "RD" for thread in (PROC / str(one) / "task").iterdir())
    return ticks / TICK, awake


def _fields(stat: Path) -> list[str]:
    """The fields after the program's name, which may hold spaces: state first."""
    return stat.read_text().rpartition(")")[2].split()
