"""Tests that share an expensive fixture run in one worker; else the other worker makes it once more, and nobody notices."""

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="this run has no workers")
def test_the_scheduler_is_told_the_group_of_a_test(request):
    """pytest-xdist sends all tests whose ids end with the same @name to one worker: tests/conftest.py names the groups."""
    assert request.config.getoption("loadgroup"), "run with --dist loadgroup"
    assert request.node.nodeid.endswith("@tests/test_groups.py")
