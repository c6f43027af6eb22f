"""Files written whole or not at all: whoever reads finds the old file or the new one, never a part of it. CSV without formulas."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # spreadsheets run a cell that begins so (OWASP, CSV injection)


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


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """The rows as CSV, each cell as `safe_cell` writes it."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([[safe_cell(str(cell)) for cell in row] for row in rows])
    return text.getvalue()


def safe_cell(text: str) -> str:
    """The text, not a formula: a quote is put before what a spreadsheet would run; a number stays one.

    >>> safe_cell("=HYPERLINK(1)"), safe_cell("-1.5"), safe_cell("Ann")
    ("'=HYPERLINK(1)", '-1.5', 'Ann')
    """
    if not text.startswith(FORMULA) or text == "-":
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
