"""What each unit costs: recorded by the tests of this folder, and printed at the end of the test run."""

import pytest

COST = "unit cost"


@pytest.fixture
def record_cost(record_property):
    """Call it with one line; the line is printed in the summary of the run."""
    return lambda line: record_property(COST, line)


def pytest_terminal_summary(terminalreporter):
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == COST
    ]
    if lines:
        terminalreporter.section("what the units cost")
        for line in sorted(lines):
            terminalreporter.write_line(line)
