"""Files behind their checksum: refused when they are damaged."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from posttrain_lab.whole_files import save_whole

MAGIC = b"posttrain_lab checkpoint 1\n"


def save_checked(path: Path, content: dict[str, Any], caller: str) -> None:
    """Tensors, numbers, strings and containers of these, behind their SHA-256."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    save_whole(caller, path, MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load_checked(path: Path, caller: str) -> dict[str, Any]:
    """What `save_checked` wrote. Nothing in the file is executed.

    Raises FileNotFoundError for a missing file; ValueError for one that is truncated, damaged, or of another kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{caller} found no file {path}; save one first.")
    raw = path.read_bytes()
    start = len(MAGIC) + 65
    if not raw.startswith(MAGIC):
        raise ValueError(
            f"{caller} wants a checkpoint of posttrain_lab, got {path} ({len(raw)} bytes), which is none or damaged."
        )
    if hashlib.sha256(raw[start:]).hexdigest().encode() != raw[len(MAGIC) : start - 1]:
        raise ValueError(f"{caller} wants a whole checkpoint, got {path} ({len(raw)} bytes), which is truncated or damaged.")
    try:
        return torch.load(io.BytesIO(raw[start:]), weights_only=True)
    except (RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{caller} cannot read {path}: {error}.") from error
