"""Binder: repo2docker reads binder/ as we mean it, nothing is installed twice, and the course is the start page."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"
START_PAGE = "/lab/tree/course/index.md"
PACKAGE_OF = {"torch": "pytorch-cpu"}


def conda_packages() -> dict[str, str]:
    """Name -> version bound of each line in environment.yml."""
    lines = re.findall(
        r"^ {2,6}- ([a-z][\w-]*)([<>=][^ #]*)?(?: #.*)?$", (BINDER / "environment.yml").read_text(encoding="utf-8"), re.M
    )
    return {name: bound for name, bound in lines if name not in ("conda-forge", "nodefaults")}


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """What repo2docker would build; it needs no docker to say so, and fails on a bad configuration."""
    pytest.importorskip("repo2docker", reason="repo2docker is not installed (it does not exist for Windows)")
    command = [
        sys.executable,
        "-m",
        "repo2docker",
        "--no-build",
        "--debug",
        "--user-id=1000",
        "--user-name=reader",
        ".",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_repo2docker_takes_conda_and_the_fixed_python(dockerfile):
    assert "binder/environment.yml" in dockerfile
    assert "python-3.11" in dockerfile or "py-2d3-2e11-2d" in dockerfile
    assert "KERNEL_PYTHON_PREFIX=${NB_PYTHON_PREFIX}" in dockerfile


def test_repo2docker_runs_our_scripts_and_no_other_installation(dockerfile):
    assert dockerfile.count("RUN ./binder/postBuild") == 1
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile
    assert "pip install" not in dockerfile


def test_python_is_named_and_allowed_by_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert conda_packages()["python"] == "=3.11"
    assert project["requires-python"].startswith(">=3.11")


def test_conda_installs_each_run_time_package_with_the_same_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = conda_packages()
    for requirement in project["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(.*)", requirement.partition(";")[0]).groups()
        assert ours[PACKAGE_OF.get(name, name)] == bound, requirement


def test_package_is_installed_once_without_dependencies():
    script = (BINDER / "postBuild").read_text(encoding="utf-8")
    calls = [line for line in script.splitlines() if re.match(r"\s*(python -m )?(pip|uv|conda|mamba|apt-get)\b", line)]
    assert calls == ["pip install --no-deps --no-build-isolation --no-cache-dir ."]


@pytest.mark.skipif(os.name == "nt", reason="Binder's start script runs on Linux only")
def test_start_script_shows_the_course_and_uses_one_thread():
    environment = {**os.environ, "REPO_DIR": str(ROOT)}
    environment.pop("JUPYTER_CONFIG_PATH", None)
    ask = [sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"]
    done = subprocess.run(
        ["bash", str(BINDER / "start"), *ask], capture_output=True, text=True, env=environment, timeout=30, check=True
    )
    seen = json.loads(done.stdout)
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["JUPYTERHUB_DEFAULT_URL"] == START_PAGE
    ours, shared = (Path(folder) for folder in seen["JUPYTER_CONFIG_PATH"].split(os.pathsep))
    server = json.loads((ours / "jupyter_server_config.json").read_text(encoding="utf-8"))
    lab = json.loads((shared / "labconfig" / "default_setting_overrides.json").read_text(encoding="utf-8"))
    assert {app["default_url"] for app in server.values()} == {START_PAGE}
    assert lab["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]["markdown"] == "Markdown Preview"
