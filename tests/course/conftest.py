"""What each unit costs: recorded by the tests of this folder, printed at the end of the test run (tests/conftest.py)."""

import pytest

COST = "unit cost"


@pytest.fixture
def record_cost(record_property):
    """Call it with one line; the line is printed in the summary of the run."""
    return lambda line: record_property(COST, line)
