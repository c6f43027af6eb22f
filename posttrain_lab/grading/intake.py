"""Read what a student handed in: one folder, a notebook and perhaps a few files, of which nothing is believed.

What cannot be read is said in a sentence (`NeedsAttention`), so that a person looks at it: it is never a plain 0. What is harmless is
repaired: a byte-order mark, a cell without metadata, attachments where they do not belong, another file name.
"""

import base64
import codecs
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbformat.v4.rwbase import rejoin_lines

from posttrain_lab.grading.regular_files import MOST_BYTES, NeedsAttention, read_regular
from posttrain_lab.grading.sanitize import rebuilt

MOST_FILES, MOST_FOLDERS, MOST_CELLS = 100, 5, 2000
LONE_HALF = re.compile(r"\\u[dD][89a-fA-F]")
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class HandedIn:
    """A notebook made anew from the submitted cells, the other files (base64 texts by path), and what was repaired."""

    notebook: NotebookNode
    files: dict[str, str]
    remarks: tuple[str, ...] = ()


def read_submission(folder: Path, unit: str) -> HandedIn:
    """What is in the folder of one student's unit. Raises NeedsAttention."""
    sizes = _listed(folder)
    notebook, remarks = _found(sizes, unit)
    found, repairs = notebook_of(read_regular(folder / notebook), notebook.name)
    files = {str(path): base64.b64encode(read_regular(folder / path)).decode() for path in sizes if path.suffix != ".ipynb"}
    return HandedIn(found, files, (*remarks, *repairs))


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a submission by path, as they are: nothing is decoded. Raises NeedsAttention."""
    return {str(path): read_regular(folder / path) for path in _listed(folder)}


def _listed(folder: Path) -> dict[Path, int]:
    """The regular files with their sizes; nothing is opened, and no link is followed."""
    if folder.is_symlink() or folder.parent.is_symlink():
        raise NeedsAttention("its folder is a link; put the notebook itself there.")
    found: dict[Path, int] = {}
    waiting = [Path()]
    while waiting:
        inside = waiting.pop()
        for entry in sorted(os.scandir(folder / inside), key=lambda entry: entry.name):
            path, mode = inside / entry.name, entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and len(path.parts) < MOST_FOLDERS:
                waiting.append(path)
            elif stat.S_ISREG(mode):
                found[path] = entry.stat(follow_symlinks=False).st_size
            else:
                kind = KINDS.get(stat.S_IFMT(mode), "a folder too deep")
                raise NeedsAttention(f"{path} is {kind}; ask for the notebook itself, as a file.")
            if len(found) > MOST_FILES or sum(found.values()) > MOST_BYTES:
                raise NeedsAttention(
                    f"it has more than {MOST_FILES} files or {MOST_BYTES // 2**20} MB; ask for the notebook with its outputs cleared."
                )
    return found


def _found(sizes: dict[Path, int], unit: str) -> tuple[Path, tuple[str, ...]]:
    """The notebook: the one of the unit's name, else the only one."""
    books = [path for path in sizes if path.suffix == ".ipynb" and ".ipynb_checkpoints" not in path.parts]
    wanted = Path(f"{unit}.ipynb")
    if wanted in books:
        return wanted, ()
    if len(books) == 1:
        return books[0], (f"{books[0]} was taken for {wanted}",)
    names = ", ".join(str(path) for path in books[:5])
    raise NeedsAttention(
        f"it has {f'{len(books)} notebooks ({names})' if books else 'no notebook'}; one named {wanted} is wanted."
    )


def notebook_of(raw: bytes, name: str) -> tuple[NotebookNode, tuple[str, ...]]:
    """The notebook made anew from a file's bytes, and what was repaired. Raises NeedsAttention."""
    if not raw.strip():
        raise NeedsAttention(f"{name} is empty; ask for it again.")
    text, remarks = _text(raw)
    try:
        data = json.loads(text)
        if LONE_HALF.search(text):  # half a character, which no file can hold: made a question mark
            data = json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise NeedsAttention(f"{name} is damaged: it is no JSON; ask for it again, or look for an older copy.") from None
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise NeedsAttention(f"{name} is no notebook; ask for the file that JupyterLab saves.")
    if data["nbformat"] != 4:
        remarks.append(f"a notebook of format {data['nbformat']} was converted")
    cells = data.get("cells") if data["nbformat"] == 4 else _converted(data, name)
    if not isinstance(cells, list) or len(cells) > MOST_CELLS:
        raise NeedsAttention(f"{name} has no list of cells, or more than {MOST_CELLS}; ask for the file that JupyterLab saves.")
    return new_notebook(cells=[rebuilt(_joined(cell)) for cell in cells if isinstance(cell, dict)]), tuple(remarks)


def _text(raw: bytes) -> tuple[str, list[str]]:
    """The text of a file that should be UTF-8, and what was repaired: a mark at its beginning, UTF-16, bytes that are no letters."""
    if raw.startswith(codecs.BOM_UTF8):
        text, remarks = _text(raw[len(codecs.BOM_UTF8) :])
        return text, ["a byte-order mark was taken off", *remarks]
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace"), ["it was written in UTF-16"]
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), ["bytes that are no UTF-8 were replaced by question marks"]


def _joined(cell: dict) -> NotebookNode:
    """The cell with its texts in one piece: files hold them as lists of lines."""
    try:
        return rejoin_lines(new_notebook(cells=[nbformat.from_dict(cell)])).cells[0]
    except Exception:  # outputs of another shape: they are not needed
        source = cell.get("source")
        lines = source if isinstance(source, list) and all(isinstance(line, str) for line in source) else [source]
        return NotebookNode({**cell, "source": "".join(str(line) for line in lines), "outputs": []})


def _converted(data: dict, name: str) -> list:
    """The cells of a notebook of an older format."""
    try:
        return nbformat.reads(json.dumps(data), as_version=4).cells  # which joins lines, as old files have them
    except Exception:
        raise NeedsAttention(
            f"{name} is of format {data['nbformat']}, and cannot be converted; open it in JupyterLab and save it again."
        ) from None
