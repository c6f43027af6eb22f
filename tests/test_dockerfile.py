"""The container for grading: built from files that exist and from pinned packages. (There is no Docker in CI, so the image itself is not built.)"""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

from posttrain_lab.grading.sandbox.available import LIBRARY

ROOT = Path(__file__).parents[1]
LINES = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")]
NAME = re.compile(r"[\w.-]+")


def words(instruction: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in LINES if line.split()[0] == instruction]


def copied() -> list[str]:
    return [source for *sources, _ in words("COPY") for source in sources]


def test_what_is_copied_exists_and_nothing_else_reaches_the_image():
    assert copied()
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert IGNORED[0] == "*"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == set(copied())
    for private in ("solutions", "submitted", "gradebook.db", ".posttrain_lab"):
        assert private not in copied()


def test_the_package_can_be_built_from_what_is_copied(tmp_path):
    for source in copied():
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, tmp_path)
    told = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))
    wanted = [told["project"]["readme"], *told["project"]["license-files"]]
    wheel = told["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted += [*wheel["packages"], *wheel["force-include"]]
    assert [name for name in wanted if not (tmp_path / name).exists()] == []


def test_pip_installs_the_copied_package_with_pinned_versions():
    (install,) = [run for run in words("RUN") if run[:2] == ["pip", "install"]]
    assert "." in install
    assert install[install.index("-c") + 1] in copied()
    pins = {
        line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    }
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    needed = {NAME.match(line)[0].lower().replace("_", "-") for line in told}
    assert needed - pins == set()


def test_it_has_what_the_sandbox_needs_and_a_promised_python():
    (install,) = [run for run in words("RUN") if "apt-get" in run]
    assert "libseccomp2" in install
    assert "apt-get install libseccomp2" in LIBRARY
    ((image,),) = words("FROM")
    minor = re.fullmatch(r"python:(3\.\d+)-slim", image)[1]
    assert f"Programming Language :: Python :: {minor}" in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_page_starts_it_with_what_the_sandbox_needs():
    page = (ROOT / "docs" / "grading.md").read_text("utf-8")
    (line,) = [line for line in page.splitlines() if "docker run" in line]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        assert f"--security-opt {option}" in line
        assert page.count(f"--security-opt {option}") == 2  # in the table of remedies too
