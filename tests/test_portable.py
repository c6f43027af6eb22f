"""The same results on every processor: how the tests are run for that."""

import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]


def test_a_second_pass_has_narrow_vectors_and_two_threads():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2 .venv/bin/pytest -n 0 -m portable" in lines


def test_an_example_may_take_its_time(monkeypatch):
    """On hypothesis' clock this example takes an hour; nobody waits."""
    hours = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: 3600.0 * next(hours))

    @settings(max_examples=3, database=None)
    @given(st.integers())
    def example(number):
        pass

    example()
