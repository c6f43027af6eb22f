"""How much processor time has another process used since now, and has it used too much?"""

from collections.abc import Callable
from time import monotonic

import psutil


class Stopwatch:
    """Runs from its creation, for a process by its number (None: there is none). `over` at `processor` seconds of its time, or at `clock`.

    >>> import os
    >>> watch = Stopwatch(os.getpid(), processor=1000.0, clock=1000.0)
    >>> watch.over(), watch.used() < 1000
    (False, True)
    """

    def __init__(self, pid: int | None, processor: float, clock: float, now: Callable[[], float] = monotonic):
        self._process = _found(pid)
        self._processor, self._clock, self._now = processor, clock, now
        self._began, self._last = now(), 0.0
        self._before = self._total()
        self.waited = False

    def _total(self) -> float:
        """Its processor time so far; what was last seen when it has ended, or when this system does not tell."""
        try:
            if self._process is not None:
                times = self._process.cpu_times()
                self._last = times.user + times.system
        except psutil.Error:
            self._process = None
        return self._last

    def used(self) -> float:
        """Seconds of processor time since the start of this watch."""
        return self._total() - self._before

    def over(self) -> bool:
        """Is the time up? `waited` says afterwards whether the clock's was, and not the processor's."""
        if self.used() >= self._processor:
            return True
        self.waited = self._now() - self._began >= self._clock
        return self.waited


def _found(pid: int | None) -> psutil.Process | None:
    try:
        return None if pid is None else psutil.Process(pid)
    except psutil.Error:
        return None
