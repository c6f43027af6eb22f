"""What may import what: the contracts of import-linter in pyproject.toml hold, and an import that breaks one is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UPWARDS = {
    "Floors: nothing imports upwards": ("data/split.py", "import posttrain_lab.measure"),
    "Checks: the engine knows no exercise": ("checks/engine/judges.py", "import posttrain_lab.checks.pruning.to_csr"),
    "No circles": ("kernels/panel_layout.py", "import posttrain_lab.kernels.packed"),
}


def copied(folder):
    """The package's code alone, and the contracts."""
    shutil.copytree(
        ROOT / "posttrain_lab", folder / "posttrain_lab", ignore=lambda path, names: [n for n in names if unwanted(path, n)]
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def unwanted(path, name):
    return name == "__pycache__" or not (name.endswith(".py") or (Path(path) / name).is_dir())


def linted(folder):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_contracts_hold(tmp_path):
    done = linted(copied(tmp_path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("contract", UPWARDS)
def test_an_import_that_breaks_a_contract_is_found(contract, tmp_path):
    name, line = UPWARDS[contract]
    file = copied(tmp_path) / "posttrain_lab" / name
    file.write_text(f"{file.read_text(encoding='utf-8')}\n\ndef later():\n    {line}\n", encoding="utf-8")
    done = linted(tmp_path)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in " ".join(done.stdout.split())
