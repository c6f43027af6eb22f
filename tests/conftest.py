"""Under pytest, every call of a function of CHECKED is checked against its annotations (types, shapes, dtypes)."""

import inspect
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # with more threads than cores, threads that wait must not keep the cores busy

from beartype import BeartypeConf, beartype
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from posttrain_lab.checks import UNITS
from tests.skips import pytest_sessionfinish  # noqa: F401 (the hook: under CI a skip is a failure)

DEPLOYMENT = Path(__file__).parents[1] / "posttrain_lab" / "deployment"
# The interpreter of C calls its small functions millions of times, and beartype draws the items that it looks at from Python's own generator.
NOT_CHECKED = ("c_reader", "c_expressions", "c_types")
CHECKED = [
    "posttrain_lab.metrics",
    "posttrain_lab.measure",
    "posttrain_lab.calibration",
    "posttrain_lab.quantization",
    "posttrain_lab.pruning",
    "posttrain_lab.finetuning",
    "posttrain_lab.comparisons",
    "posttrain_lab.auditing",
    "posttrain_lab.clinic.instruments",
    *(f"posttrain_lab.deployment.{path.stem}" for path in DEPLOYMENT.glob("*.py") if path.stem not in NOT_CHECKED),
]
CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for every type checker


def after_the_call(function: Callable) -> Callable:
    """jaxtyping asks once for the arguments, and after the call for arguments and result: check the second time only.

    So a function's own message about bad input comes first, and a wrong annotation is still an error.
    """
    return function if inspect.signature(function).return_annotation is Any else CHECK(function)


# Hypothesis fails an example that takes longer than 200 ms: a busy or slow machine is no mistake of the tested code.
settings.register_profile("without a clock", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("without a clock")

sys.modules["posttrain_lab_typechecker"] = types.ModuleType("posttrain_lab_typechecker")
sys.modules["posttrain_lab_typechecker"].check = after_the_call  # type: ignore[attr-defined]
install_import_hook(CHECKED, "posttrain_lab_typechecker.check")


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may not write to: root becomes another user for the test, since permissions do not stop root."""
    root = getattr(os, "geteuid", lambda: 1)() == 0
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder that other users may not enter
        Path(name).chmod(0o555)
        if root:
            os.setresuid(65534, 65534, 0)
        try:
            yield Path(name)
        finally:
            if root:
                os.setresuid(0, 0, 0)
            Path(name).chmod(0o755)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Which tests run in one worker, and what comes first.

    A module's tests stay together, as they share its fixtures; those of a unit's notebook share one run of it, those of a unit's
    exercises what oracles and known mistakes give. Long groups come first, so that no worker has one left at the end.
    """
    ranks: dict[str, int] = {}
    for item in items:
        unit = unit_of(item)
        shares_run = "run" in getattr(item, "fixturenames", ())
        name = f"{'notebook' if shares_run else 'exercises'} {unit}" if unit else item.nodeid.partition("::")[0]
        rank = 0 if shares_run and unit else 1 if unit else 2 if item.get_closest_marker("slow") else 3
        ranks[name] = min(rank, ranks.get(name, rank))
        item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: ranks[item.get_closest_marker("xdist_group").args[0]])


def unit_of(item: pytest.Item) -> str:
    """The unit that a test is about, of those with parameters `unit` or `exercise`; else nothing."""
    parameters = getattr(item, "callspec", None) and item.callspec.params
    exercise = (parameters or {}).get("exercise")
    unit = getattr(exercise, "unit", "") or (parameters or {}).get("unit", "")
    return unit if unit in UNITS else ""


COST = "unit cost"  # recorded by tests/course


def pytest_terminal_summary(terminalreporter):
    """What each unit costs, at the end of the run (also when workers ran the tests)."""
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
