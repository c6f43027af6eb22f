"""Which peers end the process? Each is tried at a small shape in another process, so that a crash there is only a note here.

That process prints the name of a peer before it runs it. When it dies, the last name printed is the culprit; the others
are tried again without it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

COMMAND = (sys.executable, "-m", "posttrain_lab.benchmark.probe")
SECONDS = 60


def trials() -> list[str]:
    """`op/name` of every peer of the line-up; our own kernels are not tried."""
    from .rows import LINEUP, OURS

    return [f"{op}/{name}" for op, entrants in LINEUP.items() for name in entrants if not name.startswith(OURS)]


def crashes(names: Sequence[str], command: Sequence[str] = COMMAND) -> dict[str, str]:
    """Names whose trial ended the process, and how it ended."""
    found: dict[str, str] = {}
    left = list(names)
    while left:
        started, how = _try_all(left, command)
        if not how:
            return found
        if not started:  # the process itself does not run: nothing is known about any peer
            return found
        found[started[-1]] = how
        left = left[len(started) :]
    return found


def _try_all(names: Sequence[str], command: Sequence[str]) -> tuple[list[str], str]:
    """Names begun, in order, and how the process died: empty when it ended well."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run([*command, *names], capture_output=True, text=True, timeout=SECONDS, env=environment)
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        raw = late.stdout or b""
        output, code = raw.decode() if isinstance(raw, bytes) else raw, None
    started = [line for line in output.splitlines() if line in names]
    return started, "" if code == 0 else f"no answer in {SECONDS} s" if code is None else _ending(code)


def _ending(code: int) -> str:
    """A signal by its name, an exit code by its number."""
    try:
        return f"the process died by {signal.Signals(-code).name}" if code < 0 else f"the process ended with code {code}"
    except ValueError:
        return f"the process died by signal {-code}"


def main(names: Sequence[str]) -> None:
    """Try each peer; errors are left to the race, only the end of this process counts."""
    from contextlib import suppress

    from .peers import quiet
    from .problems import Conv, Problem
    from .rows import LINEUP

    for trial in names:
        print(trial, flush=True)
        op, _, name = trial.partition("/")
        conv = Conv(2, 16, 16, 7) if op == "int8_conv2d" else None
        problem = Problem(op, *(conv.mkn if conv else (32, 64, 48)), density=0.5, conv=conv)
        with suppress(Exception), quiet():
            LINEUP[op][name].make(problem)()


if __name__ == "__main__":
    main(sys.argv[1:])
