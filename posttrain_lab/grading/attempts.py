"""What a student handed in for a unit: the last attempt in submitted/, the earlier ones in .posttrain_lab/attempts/STUDENT/UNIT/.

Which one counts is said in grading.toml (`keep`): the last one, or the one with the most points.
"""

import hashlib
import os
import shutil
from pathlib import Path

from posttrain_lab.grading.jobs import FOLDER
from posttrain_lab.grading.times import STAMP, time_of

Contents = dict[tuple[str, ...], bytes]


def earlier(root: Path, student: str, unit: str) -> list[Path]:
    """The folders of the earlier attempts, in an order that does not change."""
    folder = root / FOLDER / "attempts" / student / unit
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def counted(root: Path, student: str, unit: str, keep: str) -> list[Path]:
    """The folders of the attempts that may count, the last one first: all of them, or the last alone."""
    return [root / "submitted" / student / unit, *(earlier(root, student, unit) if keep == "best" else [])]


def time_in(folder: Path) -> str:
    """When the attempt in this folder was handed in, as far as it tells."""
    stamp = folder / STAMP
    if folder.is_symlink() or stamp.is_symlink() or not stamp.is_file():
        return ""
    return time_of(stamp.read_bytes()[:200].decode("utf-8", "replace"))


def place(root: Path, student: str, unit: str, contents: Contents) -> str:
    """Write an attempt: `new`, `newer` than what was there, `older` (kept beside it), or the `same`. Each folder appears whole."""
    target = root / "submitted" / student / unit
    if target.is_symlink() or target.parent.is_symlink():
        raise OSError(f"{target} is a link; remove it.")
    if not target.is_dir():
        _written(contents, target)
        return "new"
    there = _read(target)
    if _essence(there) == _essence(contents):
        return "same"
    if _time(there) and _time(contents) and _time(contents) < _time(there):
        _kept(root, student, unit, contents)
        return "older"
    _kept(root, student, unit, there)
    _written(contents, target)
    return "newer"


def _kept(root: Path, student: str, unit: str, contents: Contents) -> None:
    """Among the earlier attempts, once: a folder is named after its content."""
    name = hashlib.sha256(repr(sorted(_essence(contents).items())).encode()).hexdigest()[:16]
    folder = root / FOLDER / "attempts" / student / unit / name
    if not folder.is_dir():
        _written(contents, folder)


def _written(contents: Contents, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    old = target.with_name(f".{target.name}.old")
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    for path, raw in contents.items():
        place = part.joinpath(*path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
    part.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        os.replace(target, old)
    os.replace(part, target)
    shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path) -> Contents:
    """The regular files of a folder that was written here."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return {path.relative_to(folder).parts: path.read_bytes() for path in paths}


def _essence(contents: Contents) -> Contents:
    return {path: raw for path, raw in contents.items() if path != (STAMP,)}


def _time(contents: Contents) -> str:
    """The time stamp as text that sorts by time, or empty."""
    return time_of(contents.get((STAMP,), b"").decode("utf-8", "replace"))
