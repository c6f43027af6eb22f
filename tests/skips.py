"""Under CI a skipped test is a failure, but for what its machine cannot have: a package or browser that is missing must not go unseen.

tests/conftest.py takes the hook over; `tests/test_skips.py` runs it.
"""

import os
from collections.abc import Iterable

ALLOWED = (
    "no CUDA GPU",  # CI has none
    "TorchCP is not installed",  # tests/peers/conformal.py says why no extra of ours has it; `.ci/run --all` installs it
    "this processor lacks",  # kinds of processors in test_int8_matmul: a machine with AVX2 has neither AVX-512 nor VNNI
)


def unexpected(reasons: Iterable[str]) -> list[str]:
    """The reasons for skipping that CI does not accept.

    >>> unexpected(["Skipped: no CUDA GPU", "Skipped: no ptxas here"])
    ['Skipped: no ptxas here']
    """
    return [reason for reason in reasons if not any(allowed in reason for allowed in ALLOWED)]


def pytest_sessionfinish(session):
    """Fail a run of CI that skipped anything else. (The process that reports for all workers has all the reasons.)"""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None or hasattr(session.config, "workerinput"):
        return
    found = unexpected(str(report.longrepr[2]) for report in reporter.stats.get("skipped", []))
    if found:
        reporter.write_line("")
        reporter.write_line(f"CI skips nothing but {', '.join(ALLOWED)}; it skipped: {'; '.join(sorted(set(found)))}", red=True)
        session.exitstatus = 1
