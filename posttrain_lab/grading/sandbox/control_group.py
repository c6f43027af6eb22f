"""A limit of memory that the kernel keeps, for all processes of a submission together: a control group, where this user may make one.

Version 2 of Linux's control groups, or the memory controller of version 1, whichever the machine has. Mostly root may, outside of a
container. Where none can be made, memory is watched from outside (`time_used`) and limited for each process (`rights`).
"""

import contextlib
import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
NAMES = itertools.count()
ENDING = 1.0  # seconds that the processes of a group may take to end
_NO_PLACE = Path()


@dataclass(frozen=True)
class Version:
    """The files of a version: where the limit is written, and where the number of processes ended for lack of memory is read."""

    limit: str
    events: str


FIRST = Version("memory.limit_in_bytes", "memory.oom_control")
SECOND = Version("memory.max", "memory.events")


class ControlGroup:
    """A group with a limit in bytes; without any effect (`made` is False) where this user may not make one. Close it at the end."""

    def __init__(self, limit: int):
        self._folder, self._version = _NO_PLACE, SECOND
        for parent, version in _places():
            folder = parent / f"posttrain-lab-{os.getpid()}-{next(NAMES)}"
            with contextlib.suppress(OSError):
                folder.mkdir()
                self._folder, self._version = folder, version
                try:
                    (folder / version.limit).write_text(str(limit))
                    return
                except OSError:  # made, but without the controller of memory
                    self.close()

    @property
    def made(self) -> bool:
        return self._folder != _NO_PLACE

    def take(self, processes: Iterable[int]) -> None:
        """Put processes into the group; what they start later is in it as well. What has ended is passed over."""
        for process in processes if self.made else ():
            with contextlib.suppress(OSError):
                (self._folder / "cgroup.procs").write_text(str(process))

    @property
    def ran_out(self) -> bool:
        """Did the kernel end a process of the group, because there was no memory left in it?"""
        if not self.made:
            return False
        with contextlib.suppress(OSError):
            lines = (self._folder / self._version.events).read_text().splitlines()
            return any(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        return False

    def close(self) -> None:
        """Remove the group, as soon as its processes, which were ended before, are gone."""
        last = time.monotonic() + ENDING
        while self.made:
            try:
                self._folder.rmdir()
            except OSError:
                if time.monotonic() < last:
                    time.sleep(0.005)
                    continue
            self._folder = _NO_PLACE


def _places() -> list[tuple[Path, Version]]:
    """Folders in which a group may be made: in version 2 beside our own group, for one that has processes can have none below it."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                found.append((ROOT / "memory" / path.lstrip("/"), FIRST))
            elif not controllers:
                found.append(((ROOT / path.lstrip("/")).parent if path != "/" else ROOT, SECOND))
    return found
