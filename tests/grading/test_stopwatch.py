"""Processor time of another process: what it used, and whether it used too much, by its own time or by the clock."""

import os
from types import SimpleNamespace

import psutil
import pytest

from posttrain_lab.grading import stopwatch
from posttrain_lab.grading.stopwatch import Stopwatch


class Process:
    """A process whose processor time is set by hand."""

    def __init__(self, used: float):
        self.used, self.ended = used, False

    def cpu_times(self):
        if self.ended:
            raise psutil.NoSuchProcess(1)
        return SimpleNamespace(user=0.75 * self.used, system=0.25 * self.used)


@pytest.fixture
def process(monkeypatch):
    made = Process(100.0)
    monkeypatch.setattr(stopwatch.psutil, "Process", lambda pid: made)
    return made


def test_the_processes_own_time_counts_from_now(process):
    watch = Stopwatch(1, processor=20, clock=100, now=lambda: 0.0)
    process.used = 119
    assert (watch.used(), watch.over(), watch.waited) == (19, False, False)
    process.used = 120
    assert (watch.used(), watch.over(), watch.waited) == (20, True, False)


def test_a_busy_machine_takes_nothing_away_and_a_wait_ends(process):
    times = iter([0.0, 99.0, 100.0])
    watch = Stopwatch(1, processor=20, clock=100, now=lambda: next(times))
    assert (watch.over(), watch.waited) == (False, False)
    assert (watch.over(), watch.waited) == (True, True)


def test_a_process_that_ended_used_what_was_last_seen(process):
    watch = Stopwatch(1, processor=20, clock=100)
    process.used = 103
    assert watch.used() == 3
    process.ended = True
    assert (watch.used(), watch.over()) == (3, False)


def test_where_nothing_is_known_only_the_clock_counts():
    for pid in (None, 2**22 + 1):  # no process; a number that Linux does not give
        times = iter([0.0, 1.0, 100.0])
        watch = Stopwatch(pid, processor=20, clock=100, now=lambda times=times: next(times))
        assert (watch.used(), watch.over(), watch.over()) == (0, False, True)


def test_this_process_uses_time():
    watch = Stopwatch(os.getpid(), processor=0.2, clock=1e9)
    while not watch.over():
        sum(range(10_000))
    assert not watch.waited
