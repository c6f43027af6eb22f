"""The Triton kernels in Triton's interpreter: in a process of its own, since the flag must be set before triton is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
HERE = Path(__file__).parent


@pytest.mark.slow
def test_the_interpreter_gives_what_the_reference_gives():
    command = [sys.executable, "-m", "pytest", str(HERE / "interpreted"), "-o", "addopts=", "-p", "no:cacheprovider", "-q"]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]  # of the worker that runs this test
    done = subprocess.run(command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
