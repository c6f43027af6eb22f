"""Under pytest, every call of a function of CHECKED is checked against its annotations (types, shapes, dtypes)."""

import inspect
import os
import sys
import types
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

CHECKED = ["posttrain_lab.metrics", "posttrain_lab.measure", "posttrain_lab.calibration", "posttrain_lab.quantization"]
CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for every type checker


def after_the_call(function: Callable) -> Callable:
    """jaxtyping asks once for the arguments, and after the call for arguments and result: check the second time only.

    So a function's own message about bad input comes first, and a wrong annotation is still an error.
    """
    return function if inspect.signature(function).return_annotation is Any else CHECK(function)


sys.modules["posttrain_lab_typechecker"] = types.ModuleType("posttrain_lab_typechecker")
sys.modules["posttrain_lab_typechecker"].check = after_the_call  # type: ignore[attr-defined]
install_import_hook(CHECKED, "posttrain_lab_typechecker.check")

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
