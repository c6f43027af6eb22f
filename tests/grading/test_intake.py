"""What students hand in: harmless faults are repaired, what cannot be read is named, nothing is followed or read without end."""

import json
import os
import stat

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from posttrain_lab.grading.intake import MOST_BYTES, MOST_FILES, NeedsAttention, read_submission

UNIT = "02_quantization"
BOOK = json.loads(writes(new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("x = 1\ny = 2\nx")])))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / UNIT
    place.mkdir()
    return place


def put(folder, content, name=f"{UNIT}.ipynb"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else json.dumps(content).encode()
    )
    return path


def changed(**changes):
    book = json.loads(json.dumps(BOOK))
    book["cells"][1].update(changes)
    return book


def without(*keys):
    book = json.loads(json.dumps(BOOK))
    for cell in book["cells"]:
        for key in keys:
            cell.pop(key, None)
    return book


LINES = ["x = 1\n", "y = 2\n", "x"]
HARMLESS = {
    "as saved": BOOK,
    "lines in a list": changed(source=LINES),
    "attachments on a code cell": changed(attachments={}),
    "a cell without metadata": without("metadata"),
    "cells without ids": without("id"),
    "unknown keys": changed(surprise=[1, 2]),
    "metadata that is no dictionary": changed(metadata="none"),
    "outputs that are none": changed(outputs=[{"output_type": "magic"}, 5]),
    "tags that are none": changed(metadata={"tags": [1, "a,b", "setup", "setup"]}),
    "minor version of the future": {**BOOK, "nbformat_minor": 99},
    "without the notebook's metadata": {key: value for key, value in BOOK.items() if key != "metadata"},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_faults_are_repaired(folder, name):
    put(folder, HARMLESS[name])
    cells = read_submission(folder, UNIT).notebook.cells
    assert [cell.cell_type for cell in cells] == ["markdown", "code"]
    assert cells[1].source == "x = 1\ny = 2\nx"


def test_a_byte_order_mark_is_taken_off_and_told(folder):
    put(folder, b"\xef\xbb\xbf" + json.dumps(BOOK).encode())
    found = read_submission(folder, UNIT)
    assert len(found.notebook.cells) == 2
    assert found.remarks == ("a byte-order mark was taken off",)


CODED = {
    "Latin-1": (json.dumps(changed(source="x = 1 # é"), ensure_ascii=False).encode("latin-1"), "bytes that are no UTF-8 were"),
    "UTF-16": (json.dumps(changed(source="x = 1 # é"), ensure_ascii=False).encode("utf-16"), "it was written in UTF-16"),
    "two marks": (b"\xef\xbb\xbf" * 2 + json.dumps(changed(source="x = 1 # \ufffd")).encode(), "a byte-order mark was taken off"),
}


@pytest.mark.parametrize("name", CODED)
def test_bytes_of_another_coding_cost_nobody_a_notebook(folder, name):
    content, remark = CODED[name]
    put(folder, content)
    found = read_submission(folder, UNIT)
    assert found.notebook.cells[1].source in ("x = 1 # é", "x = 1 # \ufffd")
    assert found.remarks[0].startswith(remark)


def test_half_a_character_is_made_one_that_a_file_can_hold(folder):
    put(folder, json.dumps(changed(source="print('\ud800', '\U0001f600')")))
    assert read_submission(folder, UNIT).notebook.cells[1].source == "print('?', '\U0001f600')"


def test_another_name_is_taken_and_told(folder):
    put(folder, BOOK, "Kopie von 02 (1).ipynb")
    assert read_submission(folder, UNIT).remarks == (f"Kopie von 02 (1).ipynb was taken for {UNIT}.ipynb",)


def test_the_unit_s_name_wins_over_copies_and_checkpoints(folder):
    put(folder, changed(source="wrong"), f"{UNIT}-Copy1.ipynb")
    put(folder, changed(source="wrong"), f".ipynb_checkpoints/{UNIT}-checkpoint.ipynb")
    put(folder, BOOK)
    assert read_submission(folder, UNIT).notebook.cells[1].source.startswith("x = 1")


def test_other_files_come_along(folder):
    put(folder, BOOK)
    put(folder, b"\x00\x01", "data/table.bin")
    assert read_submission(folder, UNIT).files == {os.path.join("data", "table.bin"): "AAE="}


def test_a_notebook_of_format_3_is_converted(folder):
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [], "metadata": {}}]}
    old["worksheets"][0]["cells"].append(
        {"cell_type": "code", "input": ["x = 1"], "language": "python", "metadata": {}, "outputs": [], "prompt_number": 1}
    )
    put(folder, old)
    assert [cell.source for cell in read_submission(folder, UNIT).notebook.cells] == ["x = 1"]


UNREADABLE = {
    "0 bytes": (b"", "is empty; ask for it again"),
    "white space": (b" \n ", "is empty"),
    "half a file": (json.dumps(BOOK)[:40].encode(), "is damaged: it is no JSON"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\xff", "is damaged: it is no JSON"),
    "UTF-16 cut short": (json.dumps(BOOK).encode("utf-16")[:101], "is damaged: it is no JSON"),
    "a list": (b"[]", "is no notebook"),
    "a number": (b"5", "is no notebook"),
    "HTML": (b"<!doctype html>", "is damaged: it is no JSON"),
    "deep JSON": (b"[" * 200_000 + b"]" * 200_000, "is damaged"),
    "format 99": (json.dumps({**BOOK, "nbformat": 99}).encode(), "is of format 99, and cannot be converted"),
    "format as text": (json.dumps({**BOOK, "nbformat": "4"}).encode(), "is no notebook"),
    "no cells": (json.dumps({**BOOK, "cells": None}).encode(), "has no list of cells"),
    "too many cells": (json.dumps({**BOOK, "cells": [BOOK["cells"][0]] * 2001}).encode(), "or more than 2000"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named(folder, name):
    content, sentence = UNREADABLE[name]
    put(folder, content)
    with pytest.raises(NeedsAttention, match=sentence):
        read_submission(folder, UNIT)


def test_an_empty_folder_and_two_notebooks_are_named(folder):
    with pytest.raises(NeedsAttention, match=f"it has no notebook; one named {UNIT}.ipynb is wanted"):
        read_submission(folder, UNIT)
    for name in ("a.ipynb", "b.ipynb"):
        put(folder, BOOK, name)
    with pytest.raises(NeedsAttention, match=r"it has 2 notebooks \(a.ipynb, b.ipynb\)"):
        read_submission(folder, UNIT)


def test_too_large_is_not_read(folder):
    with (folder / f"{UNIT}.ipynb").open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(NeedsAttention, match=f"more than {MOST_FILES} files or {MOST_BYTES // 2**20} MB"):
        read_submission(folder, UNIT)


def test_too_many_files_are_not_read(folder):
    put(folder, BOOK)
    for number in range(MOST_FILES + 1):
        put(folder, b"", f"file{number}")
    with pytest.raises(NeedsAttention, match="files or"):
        read_submission(folder, UNIT)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system lacks pipes in folders")
def test_links_pipes_and_deep_folders_are_refused(folder):
    secret = folder.parent / "secret.ipynb"
    put(folder.parent, changed(source="a neighbour's"), "secret.ipynb")
    made = {
        "a link": lambda path: path.symlink_to(secret),
        "a pipe": os.mkfifo,
        "a link ": lambda path: path.symlink_to("/dev/zero"),
        "a link  ": lambda path: path.symlink_to(folder.parent),
        "a folder too deep": lambda path: (path / "a/b/c/d/e/f").mkdir(parents=True),
    }
    for kind, make in made.items():
        path = folder / f"{UNIT}.ipynb"
        make(path)
        with pytest.raises(NeedsAttention, match=f"is {kind.strip()}; ask for the notebook itself"):
            read_submission(folder, UNIT)
        os.rename(path, folder.parent / f"old{len(kind)}{kind.strip()}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system lacks pipes in folders")
def test_a_file_exchanged_for_a_link_or_a_pipe_after_the_look_is_not_read(folder, monkeypatch):
    from posttrain_lab.grading import intake

    path = put(folder, BOOK)
    sizes = intake._listed(folder)
    monkeypatch.setattr(intake, "_listed", lambda _: sizes)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises((OSError, NeedsAttention)):
        read_submission(folder, UNIT)
    path.unlink()
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.lstat().st_mode)
    with pytest.raises(NeedsAttention, match="is no file"):
        read_submission(folder, UNIT)
