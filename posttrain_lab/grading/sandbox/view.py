"""Which files a submission's code sees: this Python with its packages, and the package without anything that knows an answer.

The copy of the package has no exercises: no oracle, no known mistake, no case. What stays of `checks` is the engine, which makes the
calls, and the adapters. A check that is called in there says that it runs elsewhere.
"""

import os
import shutil
import site
import sys
from pathlib import Path

import posttrain_lab
from posttrain_lab import units
from posttrain_lab.grading.sandbox.adapters_only import adapters_only

PACKAGE = Path(posttrain_lab.__file__).parent
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime")
LEFT_OUT = ("proof", "course", "making", "cli", "__pycache__")
STUB = '''"""While a class is graded the checks run elsewhere; one that is called here says so and does nothing."""

from typing import Any


class _Elsewhere:
    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __repr__(self) -> str:
        return "This check runs where the class is graded."


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Elsewhere()
'''


def visible(package: Path) -> list[Path]:
    """The files and folders that the sandbox shows. `package` is the folder that holds the copy made by `copy_package`."""
    prefixes = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, *site.getsitepackages())}
    wanted = [*(Path(path) for path in SYSTEM), *sorted(prefixes), Path(sys.prefix), package]
    found: list[Path] = []
    for path in wanted:
        covered = any(path != other and path.is_relative_to(other) for other in found if not other.is_symlink())
        if path.exists() and path not in found and not covered:
            found.append(path)
    return found


def hidden(root: Path, shown: list[Path]) -> list[Path]:
    """What must not be seen although it lies in a visible folder: the package as it is installed, and the course in `root`."""
    installed = [Path(place, PACKAGE.name) for place in site.getsitepackages()]
    candidates = {path.resolve() for path in (PACKAGE, root, *installed) if path.is_dir()}
    return [path for path in sorted(candidates) if any(path.is_relative_to(one) for one in shown)]


def copy_package(folder: Path) -> None:
    """Write the package as a submission may see it to folder/posttrain_lab."""
    target = folder / "posttrain_lab"
    shutil.copytree(PACKAGE, target, ignore=_unwanted)
    (target / "checks" / "__init__.py").write_text(STUB, encoding="utf-8")
    for unit in units.UNITS:
        _adapters_only(PACKAGE / "checks" / unit.module, target / "checks" / unit.module)
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            Path(root, name).chmod(0o755 if name in folders else 0o644)  # for the user that the code runs as
    folder.chmod(0o755)


def _unwanted(folder: str, names: list[str]) -> list[str]:
    inside = Path(folder) == PACKAGE / "checks"
    exercises = [unit.module for unit in units.UNITS] if inside else []
    return [name for name in names if name in (*LEFT_OUT, *exercises)]


def _adapters_only(source: Path, target: Path) -> None:
    """A unit's modules, with the adapters and what these use."""
    target.mkdir()
    (target / "__init__.py").touch()
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(source.glob("*.py")) if path.stem != "__init__"}
    for name, text in adapters_only(sources, f"posttrain_lab.checks.{source.name}").items():
        (target / f"{name}.py").write_text(text, encoding="utf-8")
