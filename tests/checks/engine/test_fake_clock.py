"""The clock that only a TimedCall moves: every way to read the time sees it, and none afterwards."""

import time
import timeit
from time import perf_counter

import pytest

from posttrain_lab.checks.engine.fake_clock import REAL, TimedCall


def duration(read, fn):
    start = read()
    fn()
    return read() - start


def by_name(fn):
    return duration(perf_counter, fn)


def by_module(fn):
    return duration(time.perf_counter, fn)


def by_monotonic(fn):
    return duration(time.monotonic, fn)


def by_nanoseconds(fn):
    return duration(time.perf_counter_ns, fn) / 1e9


def by_process_time(fn):
    """The processor works for a quarter of a call and waits for the rest."""
    return 4 * duration(time.process_time, fn)


def by_default(fn, clock=time.perf_counter):
    return duration(clock, fn)


def by_keyword_default(fn, *, clock=time.time):
    return duration(clock, fn)


def by_timeit(fn):
    return timeit.timeit(fn, number=1)


def by_repeat(fn):
    return timeit.repeat(fn, number=1, repeat=1)[0]


def by_default_timer(fn):
    return duration(timeit.default_timer, fn)


def by_import_inside(fn):
    from time import perf_counter as clock

    return duration(clock, fn)


WAYS = [value for name, value in list(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_every_clock_sees_the_duration(way):
    call = TimedCall((7.0, 11.0))
    with call.installed(way):
        assert way(call) == pytest.approx(7.0, abs=1e-8)
        assert way(call) == pytest.approx(11.0, abs=1e-8)
    assert call.calls == 2


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_every_clock_is_real_again_afterwards(way):
    with TimedCall((7.0,)).installed(way):
        pass
    assert way(lambda: None) < 5
    assert all(getattr(time, name) is clock for name, clock in REAL.items())


def test_after_the_last_duration_it_repeats():
    call = TimedCall((1.0, 2.0))
    with call.installed(by_module):
        assert [by_module(call) for _ in range(4)] == [1.0, 2.0, 2.0, 2.0]


def test_clocks_come_back_when_the_block_raises():
    with pytest.raises(RuntimeError, match="inside"), TimedCall((1.0,)).installed(by_name):
        raise RuntimeError("inside")
    assert perf_counter is REAL["perf_counter"]


def test_a_function_without_a_namespace_is_no_obstacle():
    with TimedCall((1.0,)).installed(len):
        assert time.perf_counter() == 1000.0
