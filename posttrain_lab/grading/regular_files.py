"""Read a file that somebody else may have put there or exchanged: never through a link, never from a pipe, never more than is allowed."""

import os
import stat
from pathlib import Path
from typing import Protocol

MOST_BYTES = 20 * 2**20  # of a submission
CHUNK = 2**20


class NeedsAttention(ValueError):
    """A person must look at this submission; the message says why, and what can be done."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_regular(path: Path) -> bytes:
    """The content of a regular file, opened without following a link: it may be another one than was listed. Raises NeedsAttention."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NeedsAttention(f"{path.name} cannot be read ({error.strerror}).") from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NeedsAttention(f"{path.name} is no file; ask for the file itself.")
        return read_bounded(file, path.name)


def read_bounded(file: Readable, name: str) -> bytes:
    """All that is in an open file, whatever size it claims to have. Raises NeedsAttention when it is too large.

    >>> import io
    >>> read_bounded(io.BytesIO(b"abc"), "a.txt")
    b'abc'
    """
    content = bytearray()
    while chunk := file.read(CHUNK):
        content += chunk
        if len(content) > MOST_BYTES:
            raise NeedsAttention(too_large(name, len(content)))
    return bytes(content)


def too_large(name: str, size: int) -> str:
    """Why a file of this size is not read; empty when it is.

    >>> too_large("a.ipynb", 100)
    ''
    """
    if size <= MOST_BYTES:
        return ""
    return f"{name} has more than {MOST_BYTES // 2**20} MB; ask for the notebook with its outputs cleared."
