"""Equality before time; percentiles by the nearest rank; whatever a peer does becomes a row."""

import itertools
import random

import pytest
import torch

from posttrain_lab.benchmark import timing
from posttrain_lab.benchmark.problems import Problem
from posttrain_lab.benchmark.rows import BYTES, Entrant, Race, Target

FLOAT = Entrant(lambda p: lambda: p.expected("float"))
SUMS = Entrant(lambda p: lambda: p.expected("sums"), "sums", 0)


def race(**entrants) -> timing.Result:
    found = Race("sparse_linear", 4, 16, 8, 0.5, entrants=entrants)
    return timing.run_race(found, found.problem(), 0.001, {"dead": "the process died by SIGSEGV"})


def raising(error: BaseException):
    def make(problem):
        raise error

    return make


@pytest.mark.parametrize(
    ("times", "right"),
    [
        ([5.0], (5.0, 5.0, 5.0)),
        ([2.0, 1.0], (1.0, 1.0, 2.0)),
        ([9.0, 2.0, 3.0, 1.0, 4.0], (1.0, 3.0, 4.0)),
        ([float(i) for i in range(100, 0, -1)], (20.0, 50.0, 80.0)),
    ],
)
def test_percentiles(times, right):
    assert timing.percentiles(times) == right


def test_calls_are_interleaved_and_timed_with_the_clock():
    now, made = [0.0], []

    def runner(name, seconds):
        durations = iter(seconds)

        def call():
            made.append(name)
            now[0] += next(durations)

        return call

    calls = {"a": runner("a", [50.0, 3.0, 40.0, 1.0, 30.0, 2.0]), "b": runner("b", [10.0])}
    times = timing.interleave(calls, {"a": 3, "b": 1}, clock=lambda: now[0])
    assert times == {"a": [3.0, 1.0, 2.0], "b": [10.0]}
    assert sorted(made[:3]) == ["a", "a", "b"]  # the first round has both; one call of many comes before the measured one
    assert timing.percentiles(times["a"]) == (1.0, 2.0, 3.0)


def test_with_other_threads_each_call_settles_first():
    count = itertools.count()
    timing.interleave({"a": lambda: next(count)}, {"a": 2}, settle=1e-6)
    assert next(count) == 4  # two measured, two before


def test_no_round_begins_when_the_budget_is_over_but_three_do():
    ticks = itertools.count()
    slow = {"a": lambda: None}
    assert len(timing.interleave(slow, {"a": 50}, clock=lambda: float(next(ticks)), budget=0.0)["a"]) == 3
    assert len(timing.interleave(slow, {"a": 50}, clock=lambda: float(next(ticks)), budget=30.0)["a"]) == 11
    assert len(timing.interleave(slow, {"a": 5}, clock=lambda: float(next(ticks)))["a"]) == 5


def timed(*seconds):
    return timing.Timing("a", timing.percentiles(list(seconds)), times=seconds)


def test_a_ratio_is_that_of_pairs():
    found = timing.paired_ratio(timed(1.0, 10.0, 1.0, 1.0), timed(2.0, 20.0, 2.0, 2.0, 99.0))  # a slow round is slow for both
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    seeded, hits = random.Random(0), 0
    for _ in range(200):
        ours = [seeded.lognormvariate(0.0, 0.3) for _ in range(25)]
        found = timing.paired_ratio(timed(*ours), timed(*(1.5 * one * seeded.lognormvariate(0.0, 0.2) for one in ours)))
        hits += found.low <= 1.5 <= found.high
    assert 180 <= hits <= 199  # 95 % of 200, give or take three standard deviations


def test_few_pairs_have_no_interval():
    found = timing.paired_ratio(timed(1.0, 1.0), timed(3.0, 3.0))
    assert (found.value, found.low, str(found)) == (3.0, None, "3.00x")


@pytest.mark.parametrize(("one", "share", "right"), [(0.001, 0.01, 10), (0.02, 0.01, 3), (0.06, 0.01, 1), (0.0, 1.0, 101)])
def test_rounds(one, share, right):
    assert timing.rounds(one, share) == right


def test_a_right_implementation_is_timed():
    (found,) = race(posttrain_lab=FLOAT).timings
    assert found.right
    assert found.note == ""
    assert 0 <= found.seconds[0] <= found.seconds[1] <= found.seconds[2]


@pytest.mark.parametrize("mistake", ["one value", "nan", "shape"])
def test_a_wrong_implementation_is_caught(mistake):
    def make(problem):
        wrong = problem.expected("float").clone()
        wrong[0, 0] += {"one value": 0.1, "nan": float("nan"), "shape": 0.0}[mistake]
        return lambda: wrong[1:] if mistake == "shape" else wrong

    found = race(wrong=Entrant(make), right=FLOAT)
    assert found.timing("wrong").seconds is None
    assert "wrong result" in found.timing("wrong").note
    assert found.timing("right").seconds


def test_whole_numbers_must_be_equal_and_whole():
    off = Entrant(lambda p: lambda: p.expected("sums") + (torch.arange(8) == 3).int(), "sums", 0)
    floats = Entrant(lambda p: lambda: p.expected("sums").float(), "sums", 0)
    found = race(exact=SUMS, off=off, floats=floats)
    assert [one.right for one in found.timings] == [True, False, False]


def test_a_peer_that_saturates_is_timed_and_noted():
    half = Entrant(lambda p: lambda: p.expected("sums") // 2, "sums", 0, saturates=True)
    found = race(half=half).timing("half")
    assert found.seconds
    assert not found.right
    assert "timed nevertheless" in found.note


def test_peers_that_fail_are_rows_with_a_note():
    late = Entrant(lambda p: raising(ValueError("not\nat this shape")).__get__(p))
    missing = ModuleNotFoundError("No module named 'scipy.sparse'", name="scipy.sparse")
    found = race(
        missing=Entrant(raising(missing)), failing=Entrant(raising(RuntimeError("no engine"))), late=late, dead=FLOAT, fine=FLOAT
    )
    assert [one.seconds is None for one in found.timings] == [True] * 4 + [False]
    notes = [one.note for one in found.timings]
    assert notes == [
        "missing: scipy.sparse is not installed",
        "failed: RuntimeError: no engine",
        "failed: ValueError: not",
        "crashed: the process died by SIGSEGV",
        "",
    ]


def test_the_shape_of_an_extreme_race_is_in_every_note():
    extreme = Race("int8_linear", 4, 16, 8, extreme=True, entrants={"a": FLOAT, "b": Entrant(raising(OSError("gone")))})
    first, second = timing.run_race(extreme, extreme.problem(), 0.001, {}).timings
    assert first.note == extreme.note
    assert second.note == f"{extreme.note}; failed: OSError: gone"


def test_bytes_are_shares_of_the_float_weights():
    asked = Race("nm_linear", 2, 16, 8, 0.5, targets=(Target("torch_fp32", 0.6, BYTES),))
    assert timing.shares(Problem("nm_linear", 2, 16, 8, 0.5), asked) == {BYTES: 0.5625}
    assert timing.shares(Problem("nm_linear", 2, 16, 8, 0.5), Race("nm_linear", 2, 16, 8, 0.5)) == {}


def test_threads_come_back():
    before = torch.get_num_threads()
    two = Race("sparse_linear", 2, 16, 8, threads=2, entrants={"a": FLOAT})
    timing.run_race(two, two.problem(), 0.0, {})
    assert torch.get_num_threads() == before
