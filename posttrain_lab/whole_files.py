"""Files written whole or not at all: whoever reads finds the old file or the new one, never a part of it."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the target, then rename. Text is written as UTF-8, line ends as they are; the folder must exist.

    Raises OSError as the system words it; the old file is then as it was, and nothing lies beside it.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # the rename may reach the disk before the content does
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_target(caller: str, path: Path | None, option: str) -> None:
    """Can this file be written? OSError says in a sentence why not, before any work is done. None: nothing is to be written."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{caller} wants a folder that exists for {option}, there is no {path.parent}; choose another.")
    if path.is_dir():
        raise IsADirectoryError(f"{caller} wants a file for {option}, {path} is a folder; add a name.")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise PermissionError(f"{caller} cannot write into {path.parent} for {option}; choose another folder.") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{caller} cannot write {path} for {option}; choose another file.")


def save_whole(caller: str, path: Path, content: str | bytes) -> None:
    """`write_whole` in the name of `caller`: the OSError says which function could not write which file, why, and what to do."""
    try:
        write_whole(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{caller} cannot write {path}: {reason}; choose an existing folder that you may write to.") from error
