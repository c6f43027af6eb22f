"""An answer that never returns is ended, with a sentence that names the limit; one that is only slow is not."""

import contextlib
import signal
import sys
import threading
import time
from typing import Any

import pytest

from posttrain_lab.checks.engine import exercise as engine
from posttrain_lab.checks.engine import time_limit
from posttrain_lab.checks.engine.exercise import Case, CheckFailed, Exercise
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.submission import LocalSubmission
from posttrain_lab.checks.engine.time_limit import Limited, TimeIsUp, ended_after

timers = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timers of processor time")
ENDLESS = "your function did not return within 0.05 seconds of processor time; look for a loop that never ends."


def loop(x: Any) -> None:
    while True:
        x += 1


@pytest.fixture
def no_clock(monkeypatch):
    """Only processor time ends a call, however busy this machine is."""
    monkeypatch.setattr(time_limit, "WALL", 10_000)


class Scripted:
    """A submission whose calls use this much of a processor's time that only they advance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *seconds: float):
        self.seconds, self.now, self.limits = list(seconds), 0.0, []
        monkeypatch.setattr(time_limit, "process_time", lambda: self.now)
        monkeypatch.setattr(time_limit, "ended_after", self.ended_after)

    @contextlib.contextmanager
    def ended_after(self, processor: float, clock: float):
        self.limits.append((processor, clock))
        used = self.seconds.pop(0)
        self.now += min(used, processor)
        if used > processor:
            raise TimeIsUp(waited=False)
        yield

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome:
        return Outcome(value=1)


def exercise(oracle=lambda x: x + 1):
    return Exercise(
        name="one_more",
        unit="91_small",
        points=1,
        difficulty=1,
        minutes=1,
        oracle=oracle,
        cases=lambda seed: [Case("one", (1,)), Case("two", (2,))],
        mistakes=(),
    )


@timers
def test_an_endless_loop_gets_the_sentence_that_names_the_limit(no_clock):
    limited = Limited(LocalSubmission(loop), call=0.05, exercise=60.0)
    assert limited.call(1).error == ENDLESS
    before = time.process_time()
    assert limited.call(1).error == ENDLESS
    assert time.process_time() - before < 0.05  # it is not called again


@timers
def test_a_loop_that_swallows_the_error_is_ended_by_the_next_ring(monkeypatch, no_clock):
    monkeypatch.setattr(time_limit, "AGAIN", 0.02)
    rings = []

    def once(x: Any) -> None:
        try:
            loop(x)
        except BaseException:
            rings.append(1)
        loop(x)

    assert Limited(LocalSubmission(once), call=0.05).call(1).error == ENDLESS
    assert rings == [1]


@timers
def test_an_answer_that_waits_for_ever_is_ended_by_the_clock(monkeypatch):
    monkeypatch.setattr(time_limit, "WALL", 2)
    waiting = Limited(LocalSubmission(lambda x: threading.Event().wait(60)), call=0.05)
    want = "your function did not return within 0.1 seconds; look for what it waits for, or for a loop that never ends."
    assert waiting.call(1).error == want


@timers
def test_waiting_costs_no_processor_time(no_clock):
    """As on a busy machine: by the clock the call takes longer than its limit."""
    late = Limited(LocalSubmission(lambda x: threading.Event().wait(0.3) or x), call=0.2)
    assert late.call(1).value == 1


def test_the_calls_of_a_check_have_a_limit_together_and_the_sentence_names_it(monkeypatch):
    script = Scripted(monkeypatch, 19.0, 19.0, 19.0, 19.0)
    limited = Limited(script, call=20.0, exercise=60.0)
    assert [limited.call().value for _ in range(3)] == [1, 1, 1]
    assert limited.call().error == "your function used all of its 60 seconds of processor time; look for what makes it slow."
    assert script.limits == [(20.0, 100.0)] * 3 + [(3.0, 100.0)]  # the clock's limit does not shrink: a busy machine needs it
    assert limited.call().error.startswith("your function used all")
    assert len(script.limits) == 4


def test_a_long_call_is_told_its_own_limit(monkeypatch):
    script = Scripted(monkeypatch, 21.0)
    assert "within 20 seconds of processor time" in Limited(script, call=20.0, exercise=60.0).call().error


@timers
def test_a_check_cell_ends_an_endless_answer(monkeypatch, no_clock):
    monkeypatch.setattr(engine, "Limited", lambda submission: Limited(submission, call=0.05))
    with pytest.raises(CheckFailed, match=r"did not return within 0\.05 seconds of processor time; look for a loop"):
        exercise()(loop)


def test_only_the_students_calls_are_limited(monkeypatch, capsys):
    """A slow oracle is the house's business."""
    seen = []
    monkeypatch.setattr(time_limit, "ended_after", lambda *limits: seen.append(limits) or contextlib.nullcontext())
    one = exercise(lambda x: seen.append("oracle") or x + 1)
    one(lambda x: x + 1)
    assert {kind for kind in seen if kind != "oracle"} == {(time_limit.CALL, time_limit.WALL * time_limit.CALL)}
    assert "right in all" in capsys.readouterr().out


@timers
def test_handlers_and_timers_are_put_back():
    def mine(*_: Any) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGPROF, mine)
    try:
        with pytest.raises(TimeIsUp), ended_after(0.02, 10):
            loop(1)
        assert signal.getsignal(signal.SIGPROF) is mine
        assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGPROF, before)


@timers
def test_somebody_elses_timer_stays():
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 100.0)
    try:
        with ended_after(10, 0.01):
            assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_in_another_thread_nothing_is_limited_and_nothing_breaks():
    found = []
    thread = threading.Thread(target=lambda: found.append(Limited(LocalSubmission(lambda x: x + 1)).call(1).value))
    thread.start()
    thread.join()
    assert found == [2]
