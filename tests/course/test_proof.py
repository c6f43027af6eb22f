"""The proof gate: every exercise of every unit, through its own graded cells."""

import os
import time

import pytest

from posttrain_lab.checks import UNITS
from posttrain_lab.grading.prove import prove


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_proven_within_its_limit(unit, record_cost):
    """The limit is one of processor time: on a machine that does other things too, the clock on the wall says more."""
    start, before = time.process_time(), "TRITON_INTERPRET" in os.environ
    proof = prove(unit)
    seconds = time.process_time() - start
    record_cost(f"{unit}: proof {seconds:.1f} s of processor time ({proof.seconds:.1f} s), {len(proof.rows)} rows")
    assert proof.passed, "\n".join(
        f"{row.exercise} {row.kind} {row.variant}: {row.complaint}\n    {row.message}" for row in proof.failures
    )
    assert seconds <= 300
    assert "TRITON_INTERPRET" not in os.environ or before  # unit 06 interprets; other tests of this process compile
