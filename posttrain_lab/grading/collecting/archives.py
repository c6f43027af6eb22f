"""The files of a zip or of a folder, without following a link, believing a name, or unpacking more than is allowed.

Nothing is written here, so no name can lead anywhere: a name is split into its parts, and one that is absolute, has a drive, goes up
or is there twice is refused. What is refused keeps its reason.
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.intake import KINDS
from posttrain_lab.grading.regular_files import NeedsAttention, read_bounded, read_regular, too_large

MOST_ENTRIES = 200_000  # of a class
DRIVE = re.compile(r"[A-Za-z]:")
CLUTTER = {"__MACOSX", ".ipynb_checkpoints", "__pycache__", ".DS_Store", "Thumbs.db"}
ENCRYPTED = 0x1


@dataclass(frozen=True)
class File:
    """One file: the parts of its path, and how to read it. `refused` says why it must not be read; it is empty for most."""

    parts: tuple[str, ...]
    size: int = 0
    refused: str = ""
    reader: Callable[[], bytes] = field(default=bytes, repr=False, compare=False)

    def read(self) -> bytes:
        """The content. Raises NeedsAttention when it is refused, damaged or larger than it says."""
        if self.refused:
            raise NeedsAttention(self.refused)
        return self.reader()


def files_of(source: Path) -> list[File]:
    """All files of a zip or a folder, in order. Raises CourseError when it is neither, damaged, or endless."""
    if source.is_symlink():
        raise CourseError(f"{source} is a link; name the folder or the zip itself.")
    if source.is_dir():
        found = _of_folder(source)
    elif source.is_file():
        found = _of_zip(source)
    else:
        raise CourseError(f"There is no {source}; name the zip of your learning platform, or a folder.")
    return sorted((file for file in found if not CLUTTER.intersection(file.parts)), key=lambda file: file.parts)


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a path inside an archive. Raises NeedsAttention for one that could lead out of a folder.

    >>> parts_of("ann/02.ipynb"), parts_of("ann\\\\02.ipynb")
    (('ann', '02.ipynb'), ('ann', '02.ipynb'))
    """
    pieces = name.replace("\\", "/").split("/")
    if pieces[0] == "" or DRIVE.match(name):
        raise NeedsAttention(f"{name!r} is an absolute path, which no learning platform writes.")
    if ".." in pieces:
        raise NeedsAttention(f"{name!r} leads out of its folder, which no learning platform writes.")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise NeedsAttention(f"{name!r} has control characters in its name.")
    if any(len(piece.encode("utf-8", "replace")) > 255 for piece in pieces):
        raise NeedsAttention(f"{name[:60]!r}... is too long a name.")
    return tuple(piece for piece in pieces if piece not in ("", "."))


def _of_folder(folder: Path) -> list[File]:
    found: list[File] = []
    waiting = [Path()]
    while waiting:
        inside = waiting.pop()
        for entry in os.scandir(folder / inside):
            path, state = inside / entry.name, entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(state.st_mode):
                waiting.append(path)
                continue
            found.append(_file(folder / path, path, state))
            if len(found) > MOST_ENTRIES:
                raise CourseError(f"{folder} has more than {MOST_ENTRIES:,} files; name the folder of the submissions.")
    return found


def _file(place: Path, path: Path, state: os.stat_result) -> File:
    try:
        parts = parts_of(path.as_posix())
    except NeedsAttention as reason:
        return File(("?",), refused=str(reason))
    if not stat.S_ISREG(state.st_mode):
        return File(parts, refused=f"{path} is {KINDS.get(stat.S_IFMT(state.st_mode), 'no file')}; ask for the file itself.")
    return File(parts, state.st_size, too_large(path.as_posix(), state.st_size), lambda: read_regular(place))


def _of_zip(source: Path) -> list[File]:
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, NotImplementedError) as error:
        raise CourseError(f"{source} is no zip, or a damaged one ({error}); download it again.") from None
    if len(entries) > MOST_ENTRIES:
        raise CourseError(f"{source} has more than {MOST_ENTRIES:,} entries; name the zip of one unit.")
    seen: dict[str, int] = {}
    for entry in entries:
        key = entry.filename.replace("\\", "/").casefold().rstrip("/")
        seen[key] = seen.get(key, 0) + (not entry.is_dir())
    twice = {key for key, times in seen.items() if times > 1}
    return [_entry(source, entry, twice) for entry in entries if not entry.is_dir()]


def _entry(source: Path, entry: zipfile.ZipInfo, twice: set[str]) -> File:
    try:
        parts = parts_of(entry.filename)
    except NeedsAttention as reason:
        return File(("?",), refused=str(reason))
    mode = entry.external_attr >> 16
    name = "/".join(parts)
    refused = too_large(name, entry.file_size)
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        refused = f"{name} is {KINDS.get(stat.S_IFMT(mode), 'no file')}; ask for the file itself."
    elif entry.flag_bits & ENCRYPTED:
        refused = f"{name} is encrypted; ask for it without a password."
    elif entry.filename.replace("\\", "/").casefold() in twice:
        refused = f"{name} is in the zip twice, and it is not plain which one counts."
    return File(parts, entry.file_size, refused, lambda: _unpacked(source, entry))


def _unpacked(source: Path, entry: zipfile.ZipInfo) -> bytes:
    """The content of an entry, no more of it than allowed whatever its header says."""
    try:
        with zipfile.ZipFile(source) as archive, archive.open(entry) as file:
            return read_bounded(file, entry.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise NeedsAttention(f"{entry.filename} is damaged in the zip ({error}); download it again.") from None
