"""How much has a submission used? Processor time, time asleep while an answer is waited for, and memory, of all its processes together.

The time that it waits for a busy machine is not counted. Read from /proc; where there is none, the clock on the wall counts.
"""

import contextlib
import os
from pathlib import Path
from time import monotonic

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PAGE = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096
PROC = Path("/proc")


class Used:
    """What a process and all that it started have used since this object was made; `look` a few times each second.

    `begin` says that an answer is waited for from now on: only then is sleeping the submission's own affair. Children that ended unseen
    are counted when their parent waited for them, the others up to the last look.
    """

    def __init__(self, process: int):
        self._process = process
        self._asked = self._looked = monotonic()  # begin of the time that is judged next; last look
        self._seen: dict[tuple[int, str], int] = {}  # ticks of each process, by number and start
        self._ticks = 0
        self.slept, self.memory = 0.0, 0
        self._own: dict[tuple[int, str], int] = {}  # pages that each had when it was first seen: most are shared with its parent
        self._before = self._look()[0]
        self._ticks = 0

    @property
    def busy(self) -> float:
        """Seconds of processor time."""
        return self._ticks / TICK

    @property
    def seconds(self) -> float:
        return self.busy + self.slept

    def begin(self) -> None:
        """An answer is waited for from now on."""
        self._asked = monotonic()

    def finish(self, pause: float = 0.5) -> None:
        """The answer is there, and the submission sleeps by right. Look, if the last time was `pause` seconds ago."""
        if monotonic() - self._looked >= pause:
            self.begin()
            self.look()

    def look(self) -> None:
        """Bring the figures up to date."""
        now, (waited_for, awake) = monotonic(), self._look()
        if not awake:
            self.slept += now - self._asked
        self._asked = self._looked = now
        self._ticks = max(self._ticks, waited_for - self._before)

    def _look(self) -> tuple[int, bool]:
        """Ticks of all processes and of the children they waited for; and whether any thread is running or ready to run."""
        ticks, awake, pages = 0, False, 0
        for one in tree(self._process):
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = _fields(PROC / str(one) / "stat")
                key, own = (one, fields[19]), int(fields[11]) + int(fields[12])
                self._ticks += max(own - self._seen.get(key, 0), 0)
                self._seen[key] = own
                ticks += own + int(fields[13]) + int(fields[14])
                pages += self._pages(key)
                awake = awake or any(_fields(thread / "stat")[0] in "RD" for thread in (PROC / str(one) / "task").iterdir())
        self.memory = pages * PAGE
        return ticks, awake

    def _pages(self, key: tuple[int, str]) -> int:
        """Pages of a process that it shares with no file, and did not have from the start."""
        resident, shared = (PROC / str(key[0]) / "statm").read_text().split()[1:3]
        now = int(resident) - int(shared)
        return max(now - self._own.setdefault(key, now), 0)


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


def _fields(stat: Path) -> list[str]:
    """The fields after the program's name, which may hold spaces: state first."""
    return stat.read_text().rpartition(")")[2].split()
