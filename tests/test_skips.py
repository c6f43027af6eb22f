"""A skipped test fails a run of CI, unless the reason is one that CI's machine cannot help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEST = "import pytest\n\ndef test_one():\n    pytest.skip({reason!r})\n"


@pytest.mark.parametrize(("ci", "reason", "code"), [("true", "no browser", 1), ("true", "no CUDA GPU", 0), ("", "no browser", 0)])
def test_a_skip_fails_ci_alone(tmp_path, ci, reason, code):
    (tmp_path / "test_skipping.py").write_text(TEST.format(reason=reason))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.skips", "test_skipping.py"],
        cwd=tmp_path,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout
    assert ("it skipped: Skipped: no browser" in run.stdout) == bool(code)
