"""A child's result comes back; what hangs, crashes or raises in it does not reach the parent."""

import os
import sys
import threading

import pytest

resource = pytest.importorskip("resource", reason="processes are forked on Linux and macOS only")
forked = pytest.importorskip(
    "posttrain_lab.proof.forked", reason="processes are forked on Linux and macOS only", exc_type=ImportError
)


def test_a_result_comes_back_and_changes_stay_in_the_child():
    things = []
    assert forked.forked(lambda: (things.append(1), [1, "a", None])[1], 5) == [1, "a", None]
    assert things == []


def test_a_long_result_comes_back():
    assert len(forked.forked(lambda: "x" * 300_000, 5)) == 300_000


@pytest.mark.parametrize(
    "work", [lambda: 1 / 0, lambda: os.kill(os.getpid(), 9), lambda: sys.exit(3)], ids=["raises", "crashes", "exits"]
)
def test_no_result_is_an_error(work):
    with pytest.raises(forked.NoAnswer, match="no verdict"):
        forked.forked(work, 5)


@pytest.mark.slow
def test_a_child_that_never_ends_is_stopped_by_its_processor_time():
    def endless():
        while True:
            pass

    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(forked.NoAnswer, match="within 1 seconds"):
        forked.forked(endless, 1)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 4  # not after ten seconds on the wall


def test_a_child_that_waits_is_stopped_too(monkeypatch):
    monkeypatch.setattr(forked, "WALL", 0.2)
    with pytest.raises(forked.NoAnswer):
        forked.forked(threading.Event().wait, 1)
