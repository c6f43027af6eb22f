"""Shipped files: found, opened and checked against their checksums, with errors that say what to do."""

import csv
import hashlib
import io
import json
from pathlib import Path

FILES = Path(__file__).parent / "files"
REMEDY = "Install posttrain-lab again (pip install --force-reinstall --no-deps, or git checkout the file)."


def checksums() -> dict[str, str]:
    """SHA-256 of each shipped file, from files/checksums.json."""
    return json.loads((FILES / "checksums.json").read_text(encoding="utf-8"))


def open_file(path: Path) -> io.BytesIO:
    """The bytes of a shipped file, after its checksum was verified.

    Raises FileNotFoundError when it is missing and ValueError when it is damaged or cut short.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The data file {path.name} is missing from {path.parent}. {REMEDY}")
    raw = path.read_bytes()
    wanted = checksums().get(path.name)
    if wanted is not None and hashlib.sha256(raw).hexdigest() != wanted:
        raise ValueError(f"The data file {path.name} ({len(raw)} bytes) is damaged: its checksum is wrong. {REMEDY}")
    return io.BytesIO(raw)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a shipped table by column, as text. Raises what `open_file` raises."""
    return list(csv.DictReader(io.StringIO(open_file(path).read().decode("utf-8"))))
